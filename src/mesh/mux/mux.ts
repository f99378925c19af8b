import { BoundedQueue } from '#kernel/bounded.ts';
import type { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { EventQueue } from '#kernel/event-queue.ts';
import { fail, ok, type Result } from '#kernel/result.ts';
import {
  type Ack,
  decodeAck,
  decodeHello,
  decodeReason,
  encodeAccept,
  encodeAck,
  encodeCredit,
  encodeFrame,
  encodeHello,
  encodePing,
  encodeOpen,
  encodeReason,
  FrameType,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  MAX_OPEN_BYTES,
  type Reason,
  StreamKind,
} from '#mesh/mux/frame.ts';
import { FrameParser } from '#mesh/mux/frame-parser.ts';
import { HeaderSlab } from '#mesh/mux/header-slab.ts';
import { InFlight } from '#mesh/mux/in-flight.ts';
import { type Liveness, SilenceWatch } from '#mesh/mux/liveness.ts';
import { ReceiveWindow } from '#mesh/mux/receive-window.ts';
import { OpenLimits } from '#mesh/mux/open-limits.ts';
import { Scheduler } from '#mesh/mux/scheduler.ts';
import type { MuxEvent, MuxOptions } from '#mesh/mux/mux-types.ts';
import { MuxStream } from '#mesh/mux/stream.ts';
import { StreamIds } from '#mesh/mux/stream-ids.ts';
import type { PeerWindows } from '#mesh/mux/window-pool.ts';

/*
 * The stream multiplexer of one tunnel.
 *
 * Its life: created on a transport whose peer is authenticated, sends HELLO, is up once the peer's HELLO arrived and
 * neither refused; carries streams that either side opens; drains after GOAWAY (nothing new is opened); ends when the
 * transport ends or when the peer sends what is not our protocol. Order on the wire: HELLO; then control frames, OPEN, ACCEPT,
 * REFUSE and RESET among them, before the DATA and FIN of any stream; RESET drops what its stream had queued. The transport is always read, control needs no budget, and DATA waits for the
 * stream's credit and the tunnel's in-flight cap.
 */

/** Control frames waiting for a transport that does not drain: beyond this the peer is not reading, and is closed. */
const MAX_CONTROL_FRAMES = 65_536;
/** The peer's HELLO must follow the handshake within this. */
const HELLO_TIMEOUT_MS = 5_000;

export class Mux<Owner> {
  readonly #counters: Counters;
  readonly #parser: FrameParser;
  readonly #windows: PeerWindows;
  readonly #inFlight = new InFlight();
  readonly #watch = new SilenceWatch(this.#inFlight);
  readonly #ids: StreamIds;
  readonly #scheduler = new Scheduler<Owner>();
  readonly #opens: OpenLimits;
  readonly #streams = new Map<number, MuxStream<Owner>>();
  readonly #control = new BoundedQueue<Uint8Array>(MAX_CONTROL_FRAMES);
  readonly #headers = new HeaderSlab();
  readonly #events = new EventQueue<MuxEvent<Owner>>();
  /** What is left of the frame whose header was returned. */
  readonly #pending: Uint8Array[] = [];
  #state: 'greeting' | 'up' | 'failed' = 'greeting';
  #isDraining = false;
  #isClosed = false;
  #lastReceivedMs: number;
  #receivedBytes = 0;
  /** Before the first: when the tunnel began. */
  #lastPingMs: number;
  #nowMs: number;

  constructor(options: MuxOptions, nowMs: number) {
    this.#counters = options.counters;
    this.#windows = options.windows;
    this.#opens = new OpenLimits(options.maxPeerStreams, options.opensPerSecond, nowMs);
    this.#ids = new StreamIds(options.role);
    this.#lastReceivedMs = nowMs;
    this.#lastPingMs = nowMs;
    this.#nowMs = nowMs;
    this.#parser = new FrameParser({
      handleFrame: (type, id, payload) => this.#handleFrame(type, id, payload),
      handleData: (id, bytes) => this.#handleData(id, bytes),
      handleMalformed: (code) => this.#fail({ code }),
    });
    this.#pushControl(FrameType.hello, 0, encodeHello(options.hello));
    if (options.hello.refusal !== undefined) this.#parser.stop();
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** How closely the peer is watched; changed as the use of the tunnel changes. */
  set liveness(liveness: Liveness) {
    this.#watch.liveness = liveness;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Smoothed round trip in milliseconds, 0 before the first answer. */
  get rttMs(): number {
    return this.#inFlight.smoothedRttMs;
  }

  /** Control frames from before this moment have arrived. */
  get answeredMs(): number {
    return this.#inFlight.answeredMs;
  }

  /** What the busier direction has carried: each has a key of its own. */
  get carriedBytes(): number {
    return Math.max(this.#inFlight.sentBytes, this.#receivedBytes);
  }

  streams(): IterableIterator<MuxStream<Owner>> {
    return this.#streams.values();
  }

  /** Reads bytes of the transport; the events hold views of `chunk`. */
  handleBytes(chunk: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#lastReceivedMs = nowMs;
    this.#receivedBytes += chunk.byteLength;
    this.#parser.handleBytes(chunk);
  }

  handleDeadline(nowMs: number): void {
    this.#nowMs = nowMs;
    // Sums, not differences: exactly what deadlineMs() gave must count as reached, whatever is rounded.
    if (this.#state === 'greeting' && nowMs >= this.#lastPingMs + HELLO_TIMEOUT_MS)
      this.#fail({ code: 'HELLO_TIMEOUT' });
    if (this.#state !== 'up') return;
    if (this.#watch.isSilent(this.#lastReceivedMs, nowMs)) return this.#fail({ code: 'TUNNEL_SILENT' });
    if (nowMs >= this.#lastPingMs + this.#watch.liveness.intervalMs) this.#sendPing(nowMs);
  }

  /** When `handleDeadline` wants to run next, in `nowMs`'s clock. */
  deadlineMs(): number | undefined {
    if (this.#state === 'failed') return undefined;
    if (this.#state === 'greeting') return this.#lastPingMs + HELLO_TIMEOUT_MS;
    return this.#watch.deadlineMs(this.#lastPingMs, this.#lastReceivedMs);
  }

  get hasEvents(): boolean {
    return !this.#events.isEmpty;
  }

  /** Next event, oldest first. */
  poll(): MuxEvent<Owner> | undefined {
    return this.#events.poll();
  }

  /**
   * Next bytes for the transport, in order, or undefined when nothing may be sent now. The caller takes only what the
   * transport can hold; the mux decides as late as possible what goes next. `roomBytes` is what a frame of DATA should fit
   * into; a frame that was begun is always returned whole, piece by piece. Returned arrays must not be changed.
   */
  pollTransmit(nowMs: number, roomBytes = MAX_DATA_BYTES + HEADER_BYTES): Uint8Array | undefined {
    const payload = this.#pending.shift();
    if (payload !== undefined) {
      this.#noteSent(payload.byteLength, nowMs);
      return payload;
    }
    const control = this.#control.shift();
    if (control !== undefined) {
      this.#noteSent(control.byteLength, nowMs);
      return control;
    }
    if (this.#state !== 'up' || this.#inFlight.isFull) return undefined;
    const stream = this.#scheduler.shift();
    return stream === undefined ? undefined : this.#serve(stream, roomBytes - HEADER_BYTES, nowMs);
  }

  /** True in the middle of a frame: what `pollTransmit` returns next belongs to what it returned last. */
  get isMidFrame(): boolean {
    return this.#pending.length > 0;
  }

  /**
   * Opens a stream. Refused at once with `TUNNEL_NOT_UP`, `TUNNEL_DRAINING`, `WINDOWS_EXHAUSTED`, `STREAM_IDS_EXHAUSTED`
   * or `OPEN_TOO_BIG`; the peer's answer comes as an `accepted` or `refused` event.
   */
  open(
    kind: StreamKind,
    body: Uint8Array,
    owner: Owner,
    group: string,
    /** Bytes of an earlier stream that count against this one's first window. */
    heldBytes = 0,
  ): Result<MuxStream<Owner>, string> {
    if (this.#state !== 'up') return fail('TUNNEL_NOT_UP');
    if (this.#isDraining) return fail('TUNNEL_DRAINING');
    if (body.byteLength + 5 > MAX_OPEN_BYTES) return fail('OPEN_TOO_BIG');
    if (this.#ids.areExhausted) return fail('STREAM_IDS_EXHAUSTED');
    const windowBytes = this.#windows.reserveOpened();
    if (windowBytes === 0) return fail('WINDOWS_EXHAUSTED');
    const window = new ReceiveWindow(this.#windows, windowBytes, false, this.#nowMs);
    window.hold(heldBytes);
    const stream = new MuxStream(this.#ids.take(), kind, group, owner, 'opening', window);
    this.#streams.set(stream.id, stream);
    this.#pushControl(FrameType.open, stream.id, encodeOpen(kind, window.creditBytes, body));
    return ok(stream);
  }

  /** Accepts an offered stream; `body` goes to the opener. */
  accept(stream: MuxStream<Owner>, body: Uint8Array = new Uint8Array()): void {
    if (stream.state !== 'offered') return;
    stream.state = 'open';
    this.#pushControl(FrameType.accept, stream.id, encodeAccept(stream.window.creditBytes, body));
  }

  refuse(stream: MuxStream<Owner>, reason: Reason): void {
    if (stream.state !== 'offered') return;
    this.#pushControl(FrameType.refuse, stream.id, encodeReason(reason));
    this.#remove(stream);
  }

  /** Queues bytes. A caller that finds `stream.queue.bytes` too high sets `wakeBelowBytes` and waits for `writable`. */
  send(stream: MuxStream<Owner>, bytes: Uint8Array, nowMs: number): void {
    if (stream.state === 'closed' || stream.finQueued) return;
    stream.queue.push(bytes);
    this.#scheduler.push(stream, nowMs);
  }

  /** Ends our direction after what is queued. */
  finish(stream: MuxStream<Owner>, nowMs: number): void {
    if (stream.state === 'closed' || stream.finQueued) return;
    stream.finQueued = true;
    this.#scheduler.push(stream, nowMs);
  }

  /** Its queue has been given bytes, or may be taken from again. */
  resume(stream: MuxStream<Owner>, nowMs: number): void {
    if (stream.state !== 'closed') this.#scheduler.push(stream, nowMs);
  }

  /** Tells the sender of a resumable stream what has arrived. */
  acknowledge(stream: MuxStream<Owner>, ack: Ack): void {
    if (stream.state === 'open') this.#pushControl(FrameType.ack, stream.id, encodeAck(ack));
  }

  /** Asks the opener of a circuit to leave it; it goes on until then. */
  drain(stream: MuxStream<Owner>, reason: Reason): void {
    if (stream.state === 'open' && this.#ids.isOfPeer(stream.id))
      this.#pushControl(FrameType.drain, stream.id, encodeReason(reason));
  }

  /** Forgets a lingering stream whose both directions have ended. */
  release(stream: MuxStream<Owner>): void {
    this.#remove(stream);
  }

  /** Ends both directions at once and drops what is queued. */
  reset(stream: MuxStream<Owner>, reason: Reason): void {
    if (stream.state === 'closed') return;
    if (stream.state === 'offered') return this.refuse(stream, reason);
    this.#pushControl(FrameType.reset, stream.id, encodeReason(reason));
    this.#remove(stream);
  }

  /** The owner consumed `bytes` of what it was given: the peer may send as many again, and more if that held it up. */
  consume(stream: MuxStream<Owner>, bytes: number, nowMs: number): void {
    if (stream.state === 'closed' || stream.finReceived) return;
    const granted = stream.window.consume(bytes, this.#inFlight.smoothedRttMs, nowMs);
    if (granted === 0) return;
    this.#pushControl(FrameType.credit, stream.id, encodeCredit(granted));
    // Growth is judged by the round trip under this very load, which one PING a second would not show.
    if (this.#state === 'up' && this.#inFlight.oldestPingMs === undefined) this.#sendPing(nowMs);
  }

  /** Sends a PING whose answer comes as a `pong` event with `token`. False when too many are outstanding. */
  ping(token: number, nowMs: number): boolean {
    if (this.#state !== 'up' || !this.#inFlight.mayPing) return false;
    this.#sendPing(nowMs, token);
    return true;
  }

  /** Tokens of PINGs that were not answered yet. */
  pingTokens(): readonly number[] {
    return this.#inFlight.tokens();
  }

  /** Tells the peer to open nothing more here; what is open goes on. */
  goAway(reason: Reason): void {
    if (this.#isDraining || this.#state !== 'up') return;
    this.#isDraining = true;
    this.#pushControl(FrameType.goaway, 0, encodeReason(reason));
  }

  /** The transport ended: every stream is closed, without events. Returns those that have an owner, for it to be told. */
  close(): readonly MuxStream<Owner>[] {
    if (this.#isClosed) return [];
    this.#isClosed = true;
    const unread = new Set<MuxStream<Owner>>();
    for (let event = this.poll(); event !== undefined; event = this.poll()) {
      if (event.kind === 'opened') unread.add(event.stream);
    }
    const streams = [...this.#streams.values()].filter((stream) => !unread.has(stream));
    for (const stream of this.#streams.values()) this.#remove(stream);
    this.#state = 'failed';
    this.#parser.stop();
    this.#control.clear();
    this.#pending.length = 0;
    this.#windows.close();
    return streams;
  }

  #serve(stream: MuxStream<Owner>, roomBytes: number, nowMs: number): Uint8Array | undefined {
    const length = Math.min(this.#inFlight.turnBytes, roomBytes, stream.sendCredit, stream.queue.takeableBytes);
    if (length === 0) return this.#serveFin(stream);
    stream.queue.take(length, this.#pending);
    stream.sendCredit -= length;
    stream.noteSent(length, nowMs);
    this.#scheduler.noteServed(length);
    this.#scheduler.push(stream, nowMs);
    if (stream.queue.bytes < stream.wakeBelowBytes) {
      stream.wakeBelowBytes = 0;
      this.#events.push({ kind: 'writable', stream });
    }
    return this.#header(FrameType.data, length, stream.id);
  }

  /** Control counts too: a burst of OPEN or RESET that nobody acknowledged would hold DATA up until the next second's PING. */
  #noteSent(bytes: number, nowMs: number): void {
    this.#inFlight.handleSent(bytes);
    if (this.#state === 'up' && this.#inFlight.wantsPing()) this.#sendPing(nowMs);
  }

  #serveFin(stream: MuxStream<Owner>): Uint8Array {
    stream.finSent = true;
    const header = this.#header(FrameType.fin, 0, stream.id);
    if (stream.finReceived && !stream.lingers) this.#finished(stream);
    return header;
  }

  #header(type: FrameType, length: number, streamId: number): Uint8Array {
    this.#inFlight.handleSent(HEADER_BYTES);
    return this.#headers.next(type, length, streamId);
  }

  #pushControl(type: FrameType, streamId: number, payload: Uint8Array): void {
    if (!this.#control.push(encodeFrame(type, streamId, payload))) this.#fail({ code: 'CONTROL_BACKLOG' });
  }

  #sendPing(nowMs: number, token?: number): void {
    this.#lastPingMs = nowMs;
    if (this.#inFlight.mayPing)
      this.#pushControl(FrameType.ping, 0, encodePing(this.#inFlight.handlePing(nowMs, token)));
  }

  #remove(stream: MuxStream<Owner>): void {
    if (!this.#streams.delete(stream.id)) return;
    if (this.#ids.isOfPeer(stream.id)) this.#opens.handleEnded();
    stream.state = 'closed';
    stream.queue.clear();
    stream.window.release();
  }

  #fail(reason: Reason): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#parser.stop();
    this.#counters.add(`tunnel-failed-${countableCode(reason.code)}`);
    this.#events.push({ kind: 'failed', reason });
  }

  #handleData(id: number, bytes: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#ids.existed(id) ? undefined : this.#fail({ code: 'STREAM_UNKNOWN' });
    if (stream.finReceived) return this.#fail({ code: 'DATA_AFTER_FIN' });
    if (stream.state !== 'open' || !stream.window.receive(bytes.byteLength))
      return this.#fail({ code: 'CREDIT_EXCEEDED' });
    this.#events.push({ kind: 'data', stream, bytes });
  }

  #handleFrame(type: FrameType, id: number, payload: Uint8Array): void {
    if (type === FrameType.hello) return this.#handleHello(payload);
    if (this.#state !== 'up') return this.#fail({ code: 'HELLO_MISSING' });
    switch (type) {
      case FrameType.open:
        return this.#handleOpen(id, payload);
      case FrameType.ping:
        if (payload.byteLength !== 8) return this.#fail({ code: 'PING_MALFORMED' });
        return this.#pushControl(FrameType.pong, 0, payload);
      case FrameType.pong:
        return this.#handlePong(payload);
      case FrameType.goaway:
        this.#isDraining = true;
        this.#events.push({ kind: 'goaway', reason: decodeReason(payload) });
        return;
      default:
        return this.#handleStreamFrame(type, id, payload);
    }
  }

  #handleStreamFrame(type: FrameType, id: number, payload: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#ids.existed(id) ? undefined : this.#fail({ code: 'STREAM_UNKNOWN' });
    if (type === FrameType.accept) return this.#handleAccept(stream, payload);
    if (type === FrameType.credit) return this.#handleCredit(stream, payload);
    if (type === FrameType.fin) return this.#handleFin(stream);
    if (type === FrameType.ack) return this.#handleAck(stream, payload);
    if (type === FrameType.drain) return this.#handleDrain(stream, payload);
    const isOpening = stream.state === 'opening';
    if (type === FrameType.refuse && !isOpening) return this.#fail({ code: 'REFUSE_UNEXPECTED' });
    this.#remove(stream);
    this.#events.push({ kind: isOpening ? 'refused' : 'reset', stream, reason: decodeReason(payload) });
  }

  #handleHello(payload: Uint8Array): void {
    if (this.#state !== 'greeting') return this.#fail({ code: 'HELLO_REPEATED' });
    const hello = decodeHello(payload);
    if (!hello.ok) return this.#fail({ code: hello.error });
    if (hello.value.refusal !== undefined) return this.#fail(hello.value.refusal);
    this.#state = 'up';
    this.#sendPing(this.#nowMs);
    this.#events.push({ kind: 'up', hello: hello.value });
  }

  #handleOpen(id: number, payload: Uint8Array): void {
    if (!this.#ids.takeOfPeer(id)) return this.#fail({ code: 'OPEN_BAD_ID' });
    if (payload.byteLength < 5) return this.#fail({ code: 'OPEN_MALFORMED' });
    const refusal = this.#isDraining ? 'TUNNEL_DRAINING' : this.#opens.refusal(this.#nowMs);
    const windowBytes = refusal === undefined ? this.#windows.reserveOffered() : 0;
    if (windowBytes === 0) {
      const code = refusal ?? 'WINDOWS_EXHAUSTED';
      this.#counters.add(`open-refused-${code}`);
      this.#pushControl(FrameType.refuse, id, encodeReason({ code }));
      return;
    }
    this.#offer(id, payload, windowBytes);
  }

  #offer(id: number, payload: Uint8Array, windowBytes: number): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const window = new ReceiveWindow(this.#windows, windowBytes, true, this.#nowMs);
    const stream = new MuxStream<Owner>(id, view.getUint8(0), 'local', undefined, 'offered', window);
    stream.sendCredit = view.getUint32(1);
    this.#opens.handleOpened();
    this.#streams.set(stream.id, stream);
    this.#events.push({ kind: 'opened', stream, body: payload.subarray(5) });
  }

  #handleAccept(stream: MuxStream<Owner>, payload: Uint8Array): void {
    if (stream.state !== 'opening' || payload.byteLength < 4) return this.#fail({ code: 'ACCEPT_UNEXPECTED' });
    stream.state = 'open';
    stream.sendCredit = new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
    this.#events.push({ kind: 'accepted', stream, body: payload.subarray(4) });
    this.#scheduler.push(stream, this.#nowMs);
  }

  #handleCredit(stream: MuxStream<Owner>, payload: Uint8Array): void {
    if (payload.byteLength !== 4) return this.#fail({ code: 'CREDIT_MALFORMED' });
    stream.sendCredit += new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
    if (stream.sendCredit > 0xffff_ffff) return this.#fail({ code: 'CREDIT_OVERFLOW' });
    this.#scheduler.push(stream, this.#nowMs);
  }

  #handleAck(stream: MuxStream<Owner>, payload: Uint8Array): void {
    const ack = decodeAck(payload);
    if (ack === undefined || !stream.lingers || stream.state !== 'open') return this.#fail({ code: 'ACK_UNEXPECTED' });
    this.#events.push({ kind: 'ack', stream, ack });
  }

  #handleDrain(stream: MuxStream<Owner>, payload: Uint8Array): void {
    const isOurs = stream.kind === StreamKind.circuit && !this.#ids.isOfPeer(stream.id);
    if (!isOurs || stream.state !== 'open') return this.#fail({ code: 'DRAIN_UNEXPECTED' });
    this.#events.push({ kind: 'drain', stream, reason: decodeReason(payload) });
  }

  #handleFin(stream: MuxStream<Owner>): void {
    if (stream.finReceived || stream.state !== 'open') return this.#fail({ code: 'FIN_UNEXPECTED' });
    stream.finReceived = true;
    this.#events.push({ kind: 'fin', stream });
    if (stream.finSent && !stream.lingers) this.#finished(stream);
  }

  #finished(stream: MuxStream<Owner>): void {
    this.#remove(stream);
    this.#events.push({ kind: 'finished', stream });
  }

  #handlePong(payload: Uint8Array): void {
    if (payload.byteLength !== 8) return this.#fail({ code: 'PING_MALFORMED' });
    const id = new DataView(payload.buffer, payload.byteOffset, 8).getUint32(4);
    const answer = this.#inFlight.handlePong(id, this.#nowMs);
    if (answer === undefined) return this.#fail({ code: 'PONG_UNEXPECTED' });
    const { rttMs, token } = answer;
    if (token !== undefined) this.#events.push({ kind: 'pong', token, rttMs });
  }
}
