import {
  demand,
  readArray,
  readBoolean,
  readInteger,
  readNumber,
  readRecord,
  readShape,
  readText,
} from '#trust/read.ts';

/** A neighbour as a node sees it. */
export interface ReportedPeer {
  readonly name: string;
  readonly state: string;
  readonly rttMs: number | null;
  /** What watches the link: `udp` probes, or only its own PING. */
  readonly detector: string;
  readonly group: string;
  readonly signature: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

export interface ReportedProblem {
  readonly code: string;
  readonly message: string;
}

export interface ReportedListen {
  readonly link: string | null;
  readonly socks: string | null;
  readonly http: string | null;
  readonly admin: string | null;
}

/** A stream that a node did not allow. */
export interface ReportedDenial {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly caller: string;
  readonly service: string;
  /** Names of those that forbid it, or nothing. */
  readonly policies: string;
  readonly snapshotVersion: number;
  /** ISO 8601. */
  readonly at: string;
}

/** What a node says about itself every second; shown to people, believed for nothing else but its addresses. */
export interface NodeReport {
  readonly pid: number;
  readonly incarnation: number;
  readonly relay: boolean;
  readonly listen: ReportedListen;
  readonly addresses: readonly string[];
  readonly peers: readonly ReportedPeer[];
  readonly counters: Readonly<Record<string, number>>;
  readonly problems: readonly ReportedProblem[];
  /** On its way to stop, or about to be gone. */
  readonly drain: 'draining' | 'drained' | null;
  /** Since the last report, at most {@link DENIAL_LIMIT}. */
  readonly denials?: readonly ReportedDenial[];
  /** Since the node's start: those that were too many to report. */
  readonly droppedDenials?: number;
  /** Of the node's program. */
  readonly version?: string;
  readonly os?: string;
  /** Of the snapshot that it believes; 0 without one. */
  readonly snapshotVersion?: number;
  /** When that was signed, ISO 8601; null without one. */
  readonly snapshotIssuedAt?: string | null;
}

/** A relay links to at most this many; more is a lie. */
export const PEER_LIMIT = 1_024;
export const COUNTER_LIMIT = 512;
/** More is not read by people. */
export const PROBLEM_LIMIT = 64;
/** A second's; what comes beyond waits for the next report. */
export const DENIAL_LIMIT = 32;
export const ADDRESS_LIMIT = 64;
/** Names of nodes, counters, algorithms and times. */
const WORD_LIMIT_CHARS = 64;
const TEXT_LIMIT_CHARS = 512;
/** JSON writes a control character as six bytes; a word has none and only ASCII. */
const TEXT_LIMIT_BYTES = 6 * TEXT_LIMIT_CHARS;
/** Keys and punctuation of any one entry, and the longest number. */
const AROUND_BYTES = 128;

/** Bytes of JSON that the largest report takes. */
export const REPORT_LIMIT_BYTES =
  PEER_LIMIT * (6 * WORD_LIMIT_CHARS + AROUND_BYTES) +
  COUNTER_LIMIT * (WORD_LIMIT_CHARS + AROUND_BYTES) +
  PROBLEM_LIMIT * (WORD_LIMIT_CHARS + TEXT_LIMIT_BYTES + AROUND_BYTES) +
  DENIAL_LIMIT * (4 * WORD_LIMIT_CHARS + TEXT_LIMIT_BYTES + 2 * AROUND_BYTES) +
  // The addresses, the four listeners and what is left.
  (ADDRESS_LIMIT + 5) * (TEXT_LIMIT_CHARS + AROUND_BYTES);

/** The report within the limits that {@link parseNodeReport} holds it to; what is over them is left out. */
export function fitReport(report: NodeReport): NodeReport {
  const counters = Object.entries(report.counters).filter(([name]) => name.length <= WORD_LIMIT_CHARS);
  return {
    ...report,
    addresses: report.addresses.slice(0, ADDRESS_LIMIT),
    peers: report.peers.slice(0, PEER_LIMIT),
    counters: Object.fromEntries(counters.slice(0, COUNTER_LIMIT)),
    problems: report.problems
      .slice(0, PROBLEM_LIMIT)
      .map(({ code, message }) => ({ code, message: message.slice(0, TEXT_LIMIT_CHARS) })),
  };
}

/** Total and bounded; undefined for anything that is not a report. */
export function parseNodeReport(value: unknown): NodeReport | undefined {
  return readShape(value, (shape) => {
    const record = readRecord(shape);
    return {
      pid: readInteger(record['pid'], 0, Number.MAX_SAFE_INTEGER),
      incarnation: readInteger(record['incarnation'], 0, Number.MAX_SAFE_INTEGER),
      relay: readBoolean(record['relay']),
      listen: readListen(record['listen']),
      addresses: readArray(record['addresses'], ADDRESS_LIMIT, readShortText),
      peers: readArray(record['peers'], PEER_LIMIT, readPeer),
      counters: readCounters(record['counters']),
      problems: readArray(record['problems'], PROBLEM_LIMIT, readProblem),
      drain: readDrain(record['drain']),
      ...readLater(record),
    };
  });
}

/** What nodes of an earlier version do not say. */
function readLater(
  record: Readonly<Record<string, unknown>>,
): Pick<NodeReport, 'denials' | 'droppedDenials' | 'version' | 'os' | 'snapshotVersion' | 'snapshotIssuedAt'> {
  const { denials, droppedDenials, version, os, snapshotVersion, snapshotIssuedAt } = record;
  return {
    ...(denials === undefined ? {} : { denials: readArray(denials, DENIAL_LIMIT, readDenial) }),
    ...(droppedDenials === undefined
      ? {}
      : { droppedDenials: readInteger(droppedDenials, 0, Number.MAX_SAFE_INTEGER) }),
    ...(version === undefined ? {} : { version: readWord(version) }),
    ...(os === undefined ? {} : { os: readWord(os) }),
    ...(snapshotVersion === undefined
      ? {}
      : { snapshotVersion: readInteger(snapshotVersion, 0, Number.MAX_SAFE_INTEGER) }),
    ...(snapshotIssuedAt === undefined
      ? {}
      : { snapshotIssuedAt: snapshotIssuedAt === null ? null : readTime(snapshotIssuedAt) }),
  };
}

function readTime(value: unknown): string {
  const text = readWord(value);
  demand(!Number.isNaN(Date.parse(text)), 'a time was expected');
  return text;
}

const DECISION_ID = /^[0-9a-f]{32}$/;

function readDenial(value: unknown): ReportedDenial {
  const record = readRecord(value);
  const id = readWord(record['id']);
  demand(DECISION_ID.test(id), 'the id of a decision was expected');
  return {
    id,
    caller: readWord(record['caller']),
    service: readWord(record['service']),
    policies: readShortText(record['policies']),
    snapshotVersion: readInteger(record['snapshotVersion'], 0, Number.MAX_SAFE_INTEGER),
    at: readWord(record['at']),
  };
}

/** Nodes of an earlier version say nothing. */
function readDrain(value: unknown): NodeReport['drain'] {
  if (value === undefined || value === null) return null;
  const word = readWord(value);
  return word === 'draining' || word === 'drained' ? word : null;
}

function readShortText(value: unknown): string {
  return readText(value, TEXT_LIMIT_CHARS);
}

function readWord(value: unknown): string {
  return readText(value, WORD_LIMIT_CHARS);
}

function readListen(value: unknown): ReportedListen {
  const record = readRecord(value);
  return {
    link: readOptionalText(record['link']),
    socks: readOptionalText(record['socks']),
    http: readOptionalText(record['http']),
    admin: readOptionalText(record['admin']),
  };
}

function readOptionalText(value: unknown): string | null {
  return value === null || value === undefined ? null : readShortText(value);
}

function readPeer(value: unknown): ReportedPeer {
  const record = readRecord(value);
  const rttMs = record['rttMs'];
  return {
    name: readWord(record['name']),
    state: readWord(record['state']),
    rttMs: rttMs === null || rttMs === undefined ? null : readNumber(rttMs),
    detector: readWord(record['detector'] ?? 'in-band'),
    group: readWord(record['group']),
    signature: readWord(record['signature']),
    notAfter: readWord(record['notAfter']),
  };
}

function readCounters(value: unknown): Readonly<Record<string, number>> {
  const entries = readArray(Object.entries(readRecord(value)), COUNTER_LIMIT, (entry) => entry as [string, unknown]);
  return Object.fromEntries(entries.map(([name, count]) => [readWord(name), readNumber(count)]));
}

function readProblem(value: unknown): ReportedProblem {
  const record = readRecord(value);
  return { code: readWord(record['code']), message: readShortText(record['message']) };
}
