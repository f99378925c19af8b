/** The way was lost, not the instance. */
export const WAY_LOST = new Set(['LINK_LOST', 'PATH_LOST', 'TUNNEL_DRAINING']);
/** Answers to ATTACH that say nothing about the conduit: later or elsewhere it may succeed. */
export const TRANSIENT = new Set(['OPEN_RATE', 'STREAM_CAP', 'TUNNEL_DRAINING', 'WINDOWS_EXHAUSTED']);
