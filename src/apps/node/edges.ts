import { CodedError } from '#control/coded-error.ts';
import type { ReportedProblem } from '#control/report.ts';
import type { HostPort } from '#io/edge-listener/host-port.ts';
import { listenFailure } from '#io/edge-listener/listen-failure.ts';
import type { Listener } from '#io/edge-listener/tcp-listener.ts';
import { openLocalForward } from '#io/local-forward/local-forward.ts';
import type { StreamOpener } from '#io/stream-splice/stream-opener.ts';
import type { Counters } from '#kernel/counters.ts';
import type { SnapshotForward } from '#trust/snapshot.ts';

/** One line of a terminal or two. */
const PROBLEM_LIMIT_CHARS = 300;

interface OpenForward {
  readonly key: string;
  readonly listener: Promise<Listener | undefined>;
}

/** Keeps this node's forwards as the snapshot says: opens what is new, closes what is gone, and tells what cannot be opened. */
export class Forwards {
  readonly #opener: StreamOpener;
  readonly #counters: Counters;
  readonly #open = new Map<string, OpenForward>();
  readonly #problems = new Map<string, ReportedProblem>();

  constructor(opener: StreamOpener, counters: Counters) {
    this.#opener = opener;
    this.#counters = counters;
  }

  problems(): readonly ReportedProblem[] {
    return [...this.#problems.values()];
  }

  /** Ports that are listened on, for the rule that no service may lead to x0 itself. */
  readonly #ports = new Set<number>();

  ports(): readonly number[] {
    return [...this.#ports];
  }

  handleSnapshot(forwards: readonly SnapshotForward[]): void {
    const wanted = new Map(forwards.map((forward) => [keyOf(forward), forward]));
    for (const [key, open] of this.#open) if (!wanted.has(key)) this.#close(open);
    for (const key of this.#problems.keys()) if (!wanted.has(key)) this.#problems.delete(key);
    for (const [key, forward] of wanted) if (!this.#open.has(key)) this.#start(key, forward);
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    await Promise.all(open.map(async ({ listener }) => (await listener)?.close()));
  }

  #start(key: string, forward: SnapshotForward): void {
    const at: HostPort = { host: forward.host, port: forward.port };
    const options = { service: forward.service, opener: this.#opener, counters: this.#counters };
    const listener = openLocalForward(at, options).then(
      (opened) => {
        if (this.#open.get(key) === entry) this.#problems.delete(key);
        this.#ports.add(opened.address.port);
        return opened;
      },
      (error: unknown) => {
        if (this.#open.get(key) === entry) this.#handleFailure(key, forward, error);
        return undefined;
      },
    );
    const entry: OpenForward = { key, listener };
    this.#open.set(key, entry);
  }

  /** The forward is forgotten, so that the next snapshot tries again. */
  #handleFailure(key: string, forward: SnapshotForward, error: unknown): void {
    const failure = listenFailure(error, forward, 'address for the forward');
    const code = failure instanceof CodedError ? failure.code : 'FORWARD_FAILED';
    const message = `forward of ${forward.service}: ${failure.message}`;
    this.#problems.set(key, { code, message: message.slice(0, PROBLEM_LIMIT_CHARS) });
    this.#open.delete(key);
  }

  #close(open: OpenForward): void {
    this.#open.delete(open.key);
    this.#problems.delete(open.key);
    void open.listener.then((listener) => {
      if (listener !== undefined) this.#ports.delete(listener.address.port);
      return listener?.close();
    });
  }
}

function keyOf(forward: SnapshotForward): string {
  return `${forward.service} ${forward.host} ${forward.port}`;
}
