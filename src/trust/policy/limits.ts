/** Of one policy, which may hold a few statements. A statement for one service with ten conditions has some 500 bytes. */
export const POLICY_TEXT_LIMIT_BYTES = 16 * 1024;
/** Of one mesh: one for each of 500 services and four beside it. */
export const POLICY_LIMIT = 2_000;
/** Of one policy. */
export const STATEMENT_LIMIT = 32;
/** Of all enabled policies together: a quarter of what a snapshot may hold. */
export const POLICY_TEXTS_LIMIT_BYTES = 2 * 1024 * 1024;
/** The evaluator recurses: 1,000 brackets exhaust its stack, which ends it. */
export const POLICY_DEPTH_LIMIT = 40;
/** Of one policy: what the checker has to read at once. */
export const POLICY_TOKEN_LIMIT = 2_000;
/** The evaluator recurses along chains of operators too: 360 of them, 740 words at least, exhaust its stack. */
export const STATEMENT_TOKEN_LIMIT = 400;
/** Matching takes as long as a text times its pattern: two of 8,000 characters take 50 ms. Labels have at most 64. */
export const POLICY_QUOTED_LIMIT_CHARS = 256;
/** Sets of candidates that stand parsed: as many pairs of a kind of node and a service are in use at one node. */
export const PARSED_SET_LIMIT = 256;
/** Decisions that need not be made again: one for each pair of a node and a service that a node meets. */
export const CACHED_DECISION_LIMIT = 16_384;
/** Decisions that a node can still explain. */
export const REMEMBERED_DECISION_LIMIT = 4_096;
