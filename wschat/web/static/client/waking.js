// Browser events that suggest a change of the network or a wake-up. Node has none.

/**
 * Call functions on these occasions, until the signal is aborted.
 *
 * @param {{onWake: () => void, onOffline: () => void}} hooks `onOffline` is called when the network is gone; some server may be reachable
 * @param {AbortSignal} signal
 */
export function watchWaking({ onWake, onOffline }, signal) {
  const { document } = globalThis;
  for (const type of ["online", "pageshow"]) globalThis.addEventListener?.(type, onWake, { signal });
  globalThis.addEventListener?.("offline", onOffline, { signal });
  document?.addEventListener("resume", onWake, { signal });
  document?.addEventListener("visibilitychange", () => !document.hidden && onWake(), { signal });
}
