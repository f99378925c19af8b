/** Answers to ATTACH that say nothing about the conduit: later or elsewhere it may succeed. */
export const TRANSIENT = new Set(['OPEN_RATE', 'STREAM_CAP', 'TUNNEL_DRAINING', 'WINDOWS_EXHAUSTED']);
