import type { NodeReport, ReportedProblem } from '#control/report.ts';

export type NodeState = 'up' | 'down';

/** A session that brings no report for this long does not count as life. */
export const REPORT_SILENCE_LIMIT_MS = 10_000;

interface Presence {
  sessionId: number | undefined;
  heardMs: number;
  report: NodeReport | undefined;
  /** It said that it stops because it was drained. */
  isDrained: boolean;
}

/** Which nodes are there: up from a session's opening to its close, as long as reports come. Times are monotonic. */
export class PresenceBoard {
  readonly #nodes = new Map<string, Presence>();

  /** A newer session of a name replaces the older one. */
  handleOpen(name: string, sessionId: number, nowMs: number): void {
    const known = this.#nodes.get(name);
    const report = known?.report && { ...known.report, drain: null, snapshotVersion: 0 };
    this.#nodes.set(name, { sessionId, heardMs: nowMs, report, isDrained: false });
  }

  /** The close of a session that was replaced changes nothing. */
  handleClose(name: string, sessionId: number): void {
    const known = this.#nodes.get(name);
    if (known?.sessionId === sessionId) known.sessionId = undefined;
  }

  /** Returns false for a node without a session. */
  handleReport(name: string, report: NodeReport, nowMs: number): boolean {
    const known = this.#nodes.get(name);
    if (known?.sessionId === undefined) return false;
    known.heardMs = nowMs;
    known.report = report;
    known.isDrained ||= report.drain === 'drained';
    return true;
  }

  forget(name: string): void {
    this.#nodes.delete(name);
  }

  state(name: string, nowMs: number): NodeState {
    const known = this.#nodes.get(name);
    if (known?.sessionId === undefined) return 'down';
    return nowMs - known.heardMs <= REPORT_SILENCE_LIMIT_MS ? 'up' : 'down';
  }

  /**
   * `draining` while it is up and says so, `drained` when it said so before it went. A drain belongs to a process: the next one
   * begins without.
   */
  drain(name: string, nowMs: number): 'draining' | 'drained' | null {
    const known = this.#nodes.get(name);
    if (known?.isDrained === true) return 'drained';
    return this.state(name, nowMs) === 'up' && known?.report?.drain === 'draining' ? 'draining' : null;
  }

  /** Forgets that a node was drained. False when it was not. */
  forgetDrained(name: string): boolean {
    const known = this.#nodes.get(name);
    if (known?.isDrained !== true) return false;
    known.isDrained = false;
    return true;
  }

  /** Of its session with this control plane; undefined without one. */
  sessionId(name: string): number | undefined {
    return this.#nodes.get(name)?.sessionId;
  }

  /** Whether every node that has a session here says that it believes a snapshot of this version or a later one. */
  isBelieved(version: number): boolean {
    return [...this.#nodes.values()].every(
      ({ sessionId, report }) => sessionId === undefined || (report?.snapshotVersion ?? -1) >= version,
    );
  }

  /** When a session was opened or a report came, last; undefined since this control plane started. */
  heardMs(name: string): number | undefined {
    return this.#nodes.get(name)?.heardMs;
  }

  /** Of every node that was heard of. */
  states(nowMs: number): readonly NodeState[] {
    return [...this.#nodes.keys()].map((name) => this.state(name, nowMs));
  }

  /** What all nodes that have a session say is wrong with them. */
  problems(): readonly ReportedProblem[] {
    return [...this.#nodes.values()].flatMap(({ sessionId, report }) =>
      sessionId === undefined ? [] : (report?.problems ?? []),
    );
  }

  /** The latest report, also of a node that is down now. */
  report(name: string): NodeReport | undefined {
    return this.#nodes.get(name)?.report;
  }
}
