/** A token lives an hour unless asked otherwise: long enough to paste, short enough to lose. */
export const TOKEN_LIFE_DEFAULT_SECONDS = 3_600;
export const TOKEN_LIFE_LEAST_SECONDS = 10;
export const TOKEN_LIFE_MOST_SECONDS = 7 * 24 * 3_600;
/** Half of what a snapshot may hold, so that a full registry still fits one. */
export const NODE_LIMIT = 5_000;
export const INSTANCE_LIMIT = 5_000;
export const FORWARD_LIMIT = 5_000;
/** Neighbours in a fixed topology: the same bound as a node's links. */
export const LINK_LIMIT = 64;
/** How long after its end an SVID may still be renewed by proving its old key. */
export const RENEWAL_GRACE_MS = 7 * 24 * 3_600_000;
