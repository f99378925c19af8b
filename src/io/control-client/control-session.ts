import { setTimeout as sleep } from 'node:timers/promises';
import type { SnapshotHeader, SnapshotRefusal } from '#trust/snapshot.ts';
import { CodedError } from '#control/coded-error.ts';
import type { NodeReport } from '#control/report.ts';
import { BackOff } from '#io/control-client/back-off.ts';
import { ControlChannel } from '#io/control-client/control-channel.ts';
import type { NodeCredentials } from '#io/control-client/control-channel.ts';
import { LineReader } from '#io/control-client/line-reader.ts';
import type { SnapshotKeeper } from '#io/control-client/snapshot-keeper.ts';
import { parseSessionLine, REPLY_LIMIT_BYTES } from '#io/control-https/session-lines.ts';
import type { SessionLine } from '#io/control-https/session-lines.ts';
import { systemRandom } from '#io/random-node/system-random.ts';

export interface ControlSessionOptions {
  readonly addresses: readonly string[];
  readonly trustDomain: string;
  readonly roots: readonly Uint8Array[];
  /** Asked at every connection, so a renewed SVID is used from the next one. */
  readonly credentials: () => NodeCredentials;
  /** Judges the snapshots that come. */
  readonly keeper: SnapshotKeeper;
  readonly report: () => NodeReport;
  /** A report was refused, for a reason that the one before was not refused for. */
  readonly onReportRefused?: (error: CodedError) => void;
  /** Answers a question of the control plane; a CodedError's code goes back. */
  readonly onRequest: (op: string, args: Readonly<Record<string, unknown>>) => Promise<unknown>;
  /** Once for each loss, and again when the reason becomes another; `error` says why. */
  readonly onState?: (state: 'up' | 'down', error: Error | undefined) => void;
}

const REPORT_PATH = '/v1/report';
const REPLY_PATH = '/v1/reply';
const REPORT_MS = 1_000;
/** A node that stops does not wait for a control plane that is away. */
const LAST_REPORT_MS = 1_000;
/** Three beats missed. */
const SILENCE_LIMIT_MS = 15_000;
/** A session that ends sooner was no success: two processes with one identity take it from each other. */
const STABLE_MS = 5_000;
/** Questions answered at once; the control plane bounds its own side too. */
const REQUEST_LIMIT = 64;
/** Failures of a side request that are the session's too; what else is refused is one report or one answer. */
const SESSION_FAULT = /^(?:CERT|CONTROL)_/;
const SILENT = new CodedError('CONTROL_LOST', 'nothing came from the control plane for 15 s');
const DOUBLED = new CodedError(
  'DOUBLED_IDENTITY',
  'another process runs with this identity and took the session; stop one of the two, or revoke the node if the other is not yours',
);
const RECONNECTING = new CodedError('CONTROL_LOST', 'the node connects anew');

/**
 * A node's connection to the control plane for as long as the node runs: reads the session, reports every second, answers
 * questions, and comes back with back-off whenever it is lost.
 */
export class ControlSession {
  readonly #options: ControlSessionOptions;
  readonly #backOff = new BackOff(systemRandom);
  readonly #end = new AbortController();
  #connection = new AbortController();
  #channel: ControlChannel | undefined;
  #running: Promise<void> | undefined;
  #isReporting = false;
  #refusedBy: string | undefined;
  /** `up`, or the code of what was said to be down last. */
  #told: string | undefined;
  #openRequests = 0;

  constructor(options: ControlSessionOptions) {
    this.#options = options;
  }

  /** Connects and keeps connecting. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Reports now instead of at the next second. */
  reportNow(): void {
    void this.#report();
  }

  /** Reports a last time and waits until it was taken, but not long. */
  async reportLast(): Promise<void> {
    const taken = this.#trySend(REPORT_PATH, this.#options.report());
    await Promise.race([taken, sleep(LAST_REPORT_MS, undefined, { ref: false })]);
  }

  /** Connects anew, for example with a renewed SVID. */
  reconnect(): void {
    this.#connection.abort(RECONNECTING);
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#connection.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#end.signal.aborted) {
      const error = await this.#connectOnce();
      if (this.#end.signal.aborted) return;
      if (this.#connection.signal.reason === RECONNECTING) continue;
      this.#tell('down', this.#connection.signal.aborted ? reasonOf(this.#connection.signal) : error);
      await this.#pause(this.#backOff.nextMs());
    }
  }

  async #connectOnce(): Promise<Error | undefined> {
    this.#connection = new AbortController();
    const signal = AbortSignal.any([this.#connection.signal, this.#end.signal]);
    const { addresses, trustDomain, roots, credentials } = this.#options;
    const channel = new ControlChannel({ addresses, trustDomain, roots, credentials: credentials(), wallMs: Date.now });
    const reporting = setInterval(() => this.reportNow(), REPORT_MS);
    let openedMs = Number.POSITIVE_INFINITY;
    try {
      const response = await channel.open('GET', '/v1/session', undefined, signal);
      this.#channel = channel;
      openedMs = performance.now();
      this.#tell('up', undefined);
      this.reportNow();
      await this.#read(response);
      return undefined;
    } catch (error) {
      if (error instanceof Error) return error;
      throw error;
    } finally {
      if (performance.now() - openedMs > STABLE_MS) this.#backOff.reset();
      clearInterval(reporting);
      this.#channel = undefined;
      channel.close();
    }
  }

  /** A control plane that is away is away, however each try finds that out. */
  #tell(state: 'up' | 'down', error: Error | undefined): void {
    const code = error instanceof CodedError && error.code !== 'CONTROL_UNREACHABLE' ? error.code : 'CONTROL_LOST';
    const news = state === 'up' ? 'up' : code;
    if (news === this.#told) return;
    this.#told = news;
    this.#options.onState?.(state, error);
  }

  async #read(response: AsyncIterable<Uint8Array>): Promise<void> {
    const lines = new LineReader();
    const silence = setTimeout(() => this.#connection.abort(SILENT), SILENCE_LIMIT_MS);
    try {
      for await (const chunk of response) {
        silence.refresh();
        for (const text of lines.push(chunk)) this.#handleLine(text);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #handleLine(text: string): void {
    const line = parseSessionLine(text);
    if (!line.ok) throw new CodedError(line.error, 'the control plane sent a line that cannot be read');
    switch (line.value.type) {
      case 'snapshot':
        return this.#handleSnapshot(line.value);
      case 'request':
        void this.#handleRequest(line.value.id, line.value.op, line.value.args);
        return;
      case 'replaced':
        throw DOUBLED;
      case 'beat':
      case 'unknown':
        return;
    }
  }

  #handleSnapshot(line: Extract<SessionLine, { type: 'snapshot' }>): void {
    const accepted = this.#options.keeper.accept(line.header, line.body, line.signer);
    if (accepted.ok || this.#isLate(line.header)) return;
    throw refusedSnapshot(accepted.error);
  }

  /** A neighbour was quicker: what the control plane signed before that is no rollback. */
  #isLate({ version, issuedAtMs }: SnapshotHeader): boolean {
    const current = this.#options.keeper.current?.header;
    return current !== undefined && version <= current.version && issuedAtMs <= current.issuedAtMs;
  }

  async #handleRequest(id: string, op: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    if (this.#openRequests >= REQUEST_LIMIT) {
      const error = { code: 'NODE_BUSY', message: `the node answers ${REQUEST_LIMIT} questions already` };
      return await this.#reply({ id, error });
    }
    this.#openRequests++;
    try {
      const ok = await this.#options.onRequest(op, args).then((answer) => ({ ok: answer ?? null }), describeFailure);
      await this.#reply({ id, ...ok });
    } finally {
      this.#openRequests--;
    }
  }

  /** An answer that is not taken is replaced by the reason; that one is not insisted on. */
  async #reply(reply: Reply): Promise<void> {
    const fitting = Buffer.byteLength(JSON.stringify(reply)) > REPLY_LIMIT_BYTES ? tooLarge(reply.id) : reply;
    const refusal = await this.#trySend(REPLY_PATH, fitting);
    if (refusal === undefined) return;
    const error = { code: refusal.code, message: 'the control plane did not take the answer of the node' };
    await this.#trySend(REPLY_PATH, { id: reply.id, error });
  }

  async #report(): Promise<void> {
    if (this.#isReporting) return;
    this.#isReporting = true;
    const refusal = await this.#trySend(REPORT_PATH, this.#options.report());
    if (refusal !== undefined) this.#handleRefusedReport(refusal);
    else this.#refusedBy = undefined;
    this.#isReporting = false;
  }

  /**
   * A failed side request is the session's failure too: it ends and is opened anew. A refused body is not, and returned: it says
   * nothing of the session.
   */
  async #trySend(path: string, body: unknown): Promise<CodedError | undefined> {
    const connection = this.#connection;
    try {
      await this.#channel?.ask('POST', path, body);
    } catch (error) {
      if (error instanceof CodedError && !SESSION_FAULT.test(error.code)) return error;
      connection.abort(error);
    }
    return undefined;
  }

  #handleRefusedReport(error: CodedError): void {
    if (this.#refusedBy === error.code) return;
    this.#refusedBy = error.code;
    this.#options.onReportRefused?.(error);
  }

  async #pause(pauseMs: number): Promise<void> {
    try {
      await sleep(pauseMs, undefined, { signal: this.#end.signal });
    } catch (error) {
      if (!this.#end.signal.aborted) throw error;
    }
  }
}

type Reply = Readonly<Record<string, unknown>> & { readonly id: string };

function tooLarge(id: string): Reply {
  return { id, error: { code: 'BODY_TOO_LARGE', message: 'the answer is larger than the control plane takes' } };
}

function reasonOf(signal: AbortSignal): Error | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : undefined;
}

function refusedSnapshot(code: SnapshotRefusal): CodedError {
  return new CodedError(code, 'the control plane sent a snapshot that is not believed');
}

function describeFailure(error: unknown): { error: { code: string; message: string } } {
  if (error instanceof CodedError) return { error: { code: error.code, message: error.message.slice(0, 512) } };
  return { error: { code: 'INTERNAL', message: 'the node failed to answer' } };
}
