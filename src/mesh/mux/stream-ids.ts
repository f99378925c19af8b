const LAST_STREAM_ID = 0xffff_fff0;

/** The numbers of a tunnel's streams: odd ones for the side that dialled, even ones for the other, each side's rising. */
export class StreamIds {
  readonly #isDialer: boolean;
  #next: number;
  #highestOfPeer = 0;

  constructor(role: 'dialer' | 'acceptor') {
    this.#isDialer = role === 'dialer';
    this.#next = this.#isDialer ? 1 : 2;
  }

  get areExhausted(): boolean {
    return this.#next > LAST_STREAM_ID;
  }

  take(): number {
    const id = this.#next;
    this.#next += 2;
    return id;
  }

  isOfPeer(id: number): boolean {
    return (id % 2 === 1) !== this.#isDialer;
  }

  /** Takes the number of a stream that the peer opens; false for one that it may not use. */
  takeOfPeer(id: number): boolean {
    if (!this.isOfPeer(id) || id <= this.#highestOfPeer) return false;
    this.#highestOfPeer = id;
    return true;
  }

  /** Whether there ever was a stream of this number. */
  existed(id: number): boolean {
    return id !== 0 && (this.isOfPeer(id) ? id <= this.#highestOfPeer : id < this.#next);
  }
}
