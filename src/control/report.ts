import { readArray, readBoolean, readInteger, readNumber, readRecord, readShape, readText } from '#trust/read.ts';

/** A neighbour as a node sees it. */
export interface ReportedPeer {
  readonly name: string;
  readonly state: string;
  readonly rttMs: number | null;
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
}

/** A relay links to at most this many; more is a lie. */
const PEER_LIMIT = 1_024;
const COUNTER_LIMIT = 512;
const PROBLEM_LIMIT = 64;
const TEXT_LIMIT_CHARS = 512;

/** Total and bounded; undefined for anything that is not a report. */
export function parseNodeReport(value: unknown): NodeReport | undefined {
  return readShape(value, (shape) => {
    const record = readRecord(shape);
    return {
      pid: readInteger(record['pid'], 0, Number.MAX_SAFE_INTEGER),
      incarnation: readInteger(record['incarnation'], 0, Number.MAX_SAFE_INTEGER),
      relay: readBoolean(record['relay']),
      listen: readListen(record['listen']),
      addresses: readArray(record['addresses'], 64, readShortText),
      peers: readArray(record['peers'], PEER_LIMIT, readPeer),
      counters: readCounters(record['counters']),
      problems: readArray(record['problems'], PROBLEM_LIMIT, readProblem),
    };
  });
}

function readShortText(value: unknown): string {
  return readText(value, TEXT_LIMIT_CHARS);
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
    name: readShortText(record['name']),
    state: readShortText(record['state']),
    rttMs: rttMs === null || rttMs === undefined ? null : readNumber(rttMs),
    group: readShortText(record['group']),
    signature: readShortText(record['signature']),
    notAfter: readShortText(record['notAfter']),
  };
}

function readCounters(value: unknown): Readonly<Record<string, number>> {
  const entries = readArray(Object.entries(readRecord(value)), COUNTER_LIMIT, (entry) => entry as [string, unknown]);
  return Object.fromEntries(entries.map(([name, count]) => [readShortText(name), readNumber(count)]));
}

function readProblem(value: unknown): ReportedProblem {
  const record = readRecord(value);
  return { code: readShortText(record['code']), message: readShortText(record['message']) };
}
