/** A token lives an hour unless asked otherwise: long enough to paste, short enough to lose. */
export const TOKEN_LIFE_DEFAULT_SECONDS = 3_600;
export const TOKEN_LIFE_LEAST_SECONDS = 10;
export const TOKEN_LIFE_MOST_SECONDS = 7 * 24 * 3_600;
/** A little less than the origins that a node keeps in its link state (4,096), so that every node hears of every other. */
export const NODE_LIMIT = 4_000;
/** Half of what a snapshot may hold, so that a full registry still fits one. */
export const INSTANCE_LIMIT = 5_000;
export const FORWARD_LIMIT = 5_000;
/** Neighbours in a fixed topology: the same bound as a node's links. */
export const LINK_LIMIT = 64;
/** How long after its end an SVID may still be renewed by proving its old key. */
export const RENEWAL_GRACE_MS = 7 * 24 * 3_600_000;
