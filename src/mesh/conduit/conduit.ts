import type { ConduitPosition } from '#mesh/conduit/conduit-open.ts';
import { RetransmitQueue } from '#mesh/conduit/retransmit-queue.ts';
import type { Ack } from '#mesh/mux/frame.ts';

/** A receiver acknowledges at least this often, so that a sender keeps little; what is less waits for the next sweep. */
const LEAST_ACK_BYTES = 32_768;
/** And every so many parts of what may be under way. */
const ACKS_A_WINDOW = 8;

/**
 * One application stream that outlives its tunnels: what one end has sent and received of it, in absolute offsets.
 *
 * Its life: the opener's OPEN is accepted and bytes flow on a stream of a tunnel; when that stream is lost the opener attaches
 * the conduit to another, both sides say how far they have received, and each sends again from there; it ends when each side
 * has the other's end and knows that its own has arrived, or by the reset of a side. A tunnel delivers in order and without
 * gaps, so offsets are stated once an attachment and in acknowledgements only.
 */
export class Conduit {
  /** 32 hexadecimal digits, from 128 random bits of the opener. */
  readonly id: string;
  readonly queue = new RetransmitQueue();
  /** Of the process at the other end; 0 until it was met. */
  incarnation: number;
  /** The highest that was tried (opener) or seen (acceptor). */
  attempt = 0;
  /** Set once the application has ended its direction. */
  isFinishing = false;
  #received = 0;
  /** Of what was received, what the other side was told. */
  #told = 0;
  #finReceived = false;
  #finAcknowledged = false;
  /** Given to the reader, who is not done with it. */
  #unconsumedBytes = 0;
  /** Of these, what has no room in the present stream's window. */
  #unchargedBytes = 0;

  constructor(id: string, incarnation: number) {
    this.id = id;
    this.incarnation = incarnation;
  }

  get position(): ConduitPosition {
    return { received: this.#received, fin: this.#finReceived };
  }

  get finReceived(): boolean {
    return this.#finReceived;
  }

  /** Whether this side's end still has to reach the other. */
  get owesFin(): boolean {
    return this.isFinishing && !this.#finAcknowledged;
  }

  /** Both directions have ended, and both sides know it of what this one sent. */
  get isComplete(): boolean {
    return this.#finReceived && this.#finAcknowledged;
  }

  get unconsumedBytes(): number {
    return this.#unconsumedBytes;
  }

  /** Bytes arrived on the present stream, whose window is `windowBytes`. True when it is time to acknowledge. */
  receive(bytes: number, windowBytes: number): boolean {
    this.#received += bytes;
    this.#unconsumedBytes += bytes;
    return this.#received - this.#told >= Math.max(LEAST_ACK_BYTES, windowBytes / ACKS_A_WINDOW);
  }

  receiveFin(): void {
    this.#finReceived = true;
  }

  /** The ACK to send now. */
  acknowledgement(isOpener: boolean): Ack {
    this.#told = this.#received;
    return { received: this.#received, fin: this.#finReceived, done: isOpener && this.isComplete };
  }

  /** Whether the other side has not been told all that arrived. */
  get owesAck(): boolean {
    return this.#told < this.#received;
  }

  /** The other side has received this much. False for what was never sent. */
  handleAck({ received, fin }: ConduitPosition, isFinSent: boolean): boolean {
    if (fin && !(isFinSent && received === this.queue.end)) return false;
    if (!this.queue.acknowledge(received)) return false;
    if (fin) this.#finAcknowledged = true;
    return true;
  }

  /** Whether the other side may have received this much: all that it acknowledged, and no more than was sent. */
  isPosition({ received, fin }: ConduitPosition): boolean {
    if (fin && !(this.isFinishing && received === this.queue.end)) return false;
    return received >= this.queue.acknowledged && received <= this.queue.sent;
  }

  /** A new stream begins where the other side says. False, without effect, when that cannot be. */
  resume({ received, fin }: ConduitPosition): boolean {
    if (!this.isPosition({ received, fin })) return false;
    this.queue.rewind(received);
    if (fin) this.#finAcknowledged = true;
    this.#told = this.#received;
    return true;
  }

  /** `held` of the unconsumed bytes were charged to the new stream's window. */
  charge(held: number): void {
    this.#unchargedBytes = this.#unconsumedBytes - held;
  }

  /** The reader is done with `bytes`. Returns how many of them are credit on the present stream. */
  consume(bytes: number): number {
    this.#unconsumedBytes -= bytes;
    const uncharged = Math.min(bytes, this.#unchargedBytes);
    this.#unchargedBytes -= uncharged;
    return bytes - uncharged;
  }
}
