import { TokenBucket } from '#kernel/bounded.ts';
import type { Audit, AuditNote } from '#control/audit/audit.ts';
import type { ReportedDenial } from '#control/report.ts';

/** A node that reports each second fills its reports; one that reports more often is not worth more of the log. */
const BURST_LIMIT = 64;
const PER_SECOND = 32;
/** Of one node, while the log cannot be written: two full reports. */
const WAITING_LIMIT = 64;

interface Reporter {
  readonly rate: TokenBucket;
  waiting: readonly AuditNote[];
  /** Since the start of this control plane: those that no entry tells of. */
  unrecorded: number;
}

/**
 * What nodes did not allow, in the log: as much of one node as it holds. What could not be recorded is tried again with the node's
 * next report; what is too much is counted, and the next entry has the count.
 */
export class DenialNotes {
  readonly #audit: Audit;
  readonly #nowMs: () => number;
  /** As many as there are nodes. */
  readonly #reporters = new Map<string, Reporter>();

  constructor(audit: Audit, nowMs: () => number) {
    this.#audit = audit;
    this.#nowMs = nowMs;
  }

  /** `dropped`: denials of this node since its start that were too many to report. Never rejects. */
  async handle(node: string, denials: readonly ReportedDenial[], dropped: number): Promise<void> {
    const reporter = this.#reporterOf(node);
    const taken = denials.filter(() => reporter.rate.take(this.#nowMs()));
    reporter.unrecorded += denials.length - taken.length;
    const { unrecorded, waiting } = reporter;
    reporter.waiting = [];
    const notes = [...waiting, ...taken.map((denial) => noteOf(node, denial, { dropped, unrecorded }))];
    const outcomes = await Promise.allSettled(notes.map(async (note) => this.#audit.record(note)));
    const failed = notes.filter((_note, at) => outcomes[at]?.status === 'rejected');
    const all = [...reporter.waiting, ...failed];
    reporter.waiting = all.slice(0, WAITING_LIMIT);
    reporter.unrecorded += all.length - reporter.waiting.length;
  }

  /** The node is no member any more. */
  forget(node: string): void {
    this.#reporters.delete(node);
  }

  #reporterOf(node: string): Reporter {
    const known = this.#reporters.get(node);
    if (known !== undefined) return known;
    const made = { rate: new TokenBucket(BURST_LIMIT, PER_SECOND, this.#nowMs()), waiting: [], unrecorded: 0 };
    this.#reporters.set(node, made);
    return made;
  }
}

function noteOf(
  node: string,
  { id, caller, service, policies, snapshotVersion, at }: ReportedDenial,
  counts: { readonly dropped: number; readonly unrecorded: number },
): AuditNote {
  return {
    actor: `node:${caller}`,
    action: 'stream:open',
    target: `Service:${service}`,
    outcome: 'denied',
    detail: { decision: id, node, policies, snapshotVersion, at, ...counts },
  };
}
