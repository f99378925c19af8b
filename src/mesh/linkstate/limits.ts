/** One neighbour of a record takes at most 72 bytes, so 256 of them need 18 KiB; the rest is for fields to come. */
export const MAX_BODY_BYTES = 20 * 1024;
/** A relay with more links names its oldest ones: paths need few, and a record must stay small. */
export const MAX_NEIGHBOURS = 256;
/** Maps in arrays in maps: more than any field to come needs, and it bounds what a decoder allocates. */
export const MAX_BODY_DEPTH = 8;
/** ML-DSA-87 needs 4,627 bytes. */
export const MAX_SIGNATURE_BYTES = 8 * 1024;
/** Format, origin, incarnation, sequence, certificate hash and two lengths, with the longest name. */
const MAX_ENVELOPE_BYTES = 1 + 1 + 63 + 8 + 4 + 32 + 4 + 2;
export const MAX_RECORD_BYTES = MAX_ENVELOPE_BYTES + MAX_BODY_BYTES + MAX_SIGNATURE_BYTES;
/** One message of the linkstate stream: a record of full size and its header fit. */
export const MAX_MESSAGE_BYTES = 32 * 1024;
/** A leaf with an ML-DSA-87 key and signature is under 9 KiB. */
export const MAX_CERTIFICATE_BYTES = 16 * 1024;

/** A mesh of this size costs a node about 40 MiB of records and certificates. */
export const MAX_ORIGINS = 4096;
/** Half of 2^32: an origin that reaches it begins a new incarnation. */
export const MAX_SEQUENCE = 0x7fff_ffff;

/** A record that nobody refreshed for this long is forgotten, so that nodes which left for ever are. */
export const MAX_AGE_MS = 60 * 60 * 1000;
/** A third of the age: two refreshes may be lost. */
export const REFRESH_MS = 20 * 60 * 1000;
/** As much clock error between nodes as certificates are backdated for. */
export const MAX_FUTURE_MS = 15 * 60 * 1000;

/** What happens within this time becomes one record. */
export const ORIGINATE_SPACING_MS = 50;
/** A node's own records: a start with many links, then two a second. */
export const ORIGINATE_BURST = 20;
export const ORIGINATE_PER_SECOND = 2;
/** Twice what an honest origin may send, so that it never loses one to jitter. */
export const ORIGIN_BURST = 40;
export const ORIGIN_PER_SECOND = 4;
/** A neighbour may hand over every record of the largest mesh at once, then a thousand messages a second (a fifth of a core). */
export const NEIGHBOUR_BURST = 2 * MAX_ORIGINS;
export const NEIGHBOUR_PER_SECOND = 1000;
/** An honest neighbour never passes on a record that does not verify: each counts as this many messages. */
export const FORGERY_TOKENS = 64;

/** Meeting a newer record of one's own is answered at once this often, later after a pause. */
export const CONTEST_BURST = 3;
export const CONTEST_PAUSE_MS = 5000;
/** This many within the window are no leftover of an earlier life any more: alarm, at most once a window. */
export const CONTEST_ALARM_COUNT = 3;
export const CONTEST_WINDOW_MS = 60_000;

/** Records waiting for a certificate, from one neighbour and from all. */
export const MAX_PENDING_PER_NEIGHBOUR = 128;
export const MAX_PENDING = 512;
/** So many neighbours are asked for the certificate of one record: a second, in case the first is silent. */
export const MAX_PENDING_COPIES = 2;
/** Three round trips over a bad link. */
export const PENDING_MS = 5000;
/** Records asked for and not yet here, from one neighbour; below the pending limit, so that each may still need its certificate. */
export const MAX_OUTSTANDING = 64;
/** Certificates a neighbour may be waiting for at once. */
export const MAX_CERTIFICATES_DUE = MAX_PENDING;

/** Refused records and certificates remembered by hash, so that a repetition costs no signature check. */
export const MAX_REFUSED = 1024;
/** They are forgotten after this: a clock or an issuer may have changed what was refused. */
export const REFUSED_MS = 60_000;

export const TICK_MS = 1000;
/** Neighbours compare summaries this often, which heals whatever a limit dropped. */
export const SUMMARY_MS = 10_000;
/** A full digest goes to one neighbour no more often than this: 4,096 entries are 400 KiB. */
export const DIGEST_SPACING_MS = 2000;
/** Entries in one message: 108 bytes each at most. */
export const MAX_DIGEST_ENTRIES = 256;
export const MAX_REQUEST_ENTRIES = 256;
export const MAX_HASHES = 64;
/** Alarms not yet fetched; the newest are dropped. */
export const MAX_ALARMS = 16;
/** Paths remembered until the graph changes. */
export const MAX_CACHED_PATHS = 2 * MAX_ORIGINS;
