"""The actions of the chat, one in each file. A new file in this folder is a new action: it is found by importing the folder."""

from wschat.chat.registry import REGISTRY

ACTIONS = REGISTRY.discover(__name__, __path__)
