/** One thing that happened. `count` is bytes or a stream's number, by kind. */
export interface TraceEvent {
  readonly atMs: number;
  readonly kind: string;
  readonly from: string;
  readonly to: string;
  readonly detail: string;
  readonly count: number;
}

/** What a failing run shows around its victim. */
const MAX_EVENTS = 400_000;

/** Everything that happened in a run: always as a hash, and as a list where somebody wants to read it. */
export class Trace {
  readonly #isRecording: boolean;
  readonly #clock: () => number;
  readonly #events: TraceEvent[] = [];
  readonly #ids = new Map<string, number>();
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  eventCount = 0;

  constructor(isRecording: boolean, clock: () => number) {
    this.#isRecording = isRecording;
    this.#clock = clock;
  }

  get events(): readonly TraceEvent[] {
    return this.#events;
  }

  /** Equal for equal runs. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  note(kind: string, from: string, to = '', detail = '', count = 0): void {
    const atMs = this.#clock();
    this.eventCount++;
    this.#mix(Math.round(atMs * 1000));
    for (const text of [kind, from, to, detail]) this.#mix(this.#idOf(text));
    this.#mix(count);
    if (!this.#isRecording) return;
    this.#events.push({ atMs, kind, from, to, detail, count });
    if (this.#events.length > MAX_EVENTS) this.#events.splice(0, MAX_EVENTS / 2);
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul(this.#high ^ this.#low ^ (word >>> 7), 0x5bd1e995);
  }

  /** Numbered by first appearance, which is the same in equal runs. */
  #idOf(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(text, id);
      for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
    }
    return id;
  }
}

/** One line of `--trace`. */
export function formatEvent(event: TraceEvent): string {
  const { atMs, kind, from, to, detail, count } = event;
  const parts = [from, to === '' ? '' : `→ ${to}`, detail, count === 0 ? '' : String(count)];
  return `${(atMs / 1000).toFixed(6).padStart(11)} ${kind.padEnd(14)} ${parts.filter((part) => part !== '').join(' ')}`;
}
