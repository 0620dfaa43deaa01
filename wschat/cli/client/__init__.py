"""`wschat connect` but for its screen: the options, the pipe, scripts, recordings and exit codes."""
