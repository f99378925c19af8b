/** A member that speaks the protocol by hand: TLS and a multiplexer, and nothing that a node would do by itself. */
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { createTunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import { dialLink } from '#io/tunnel-tls/dial-link.ts';
import { Counters } from '#kernel/counters.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { NO_TUNNEL_ID, StreamKind } from '#mesh/mux/frame.ts';
import { Mux } from '#mesh/mux/mux.ts';
import type { MuxEvent } from '#mesh/mux/mux-types.ts';
import type { MuxStream } from '#mesh/mux/stream.ts';
import { WindowPool } from '#mesh/mux/window-pool.ts';
import type { TestCa, TestLeaf } from '../fixtures/test-ca.ts';

export class RawPeer {
  readonly mux: Mux<undefined>;
  readonly socket: TLSSocket;
  /** Of the node's process. */
  incarnation = 0;
  /** Takes every event; what it does not consume stalls. */
  onEvent: (event: MuxEvent<undefined>) => void = () => {};

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    const hello = { version: 1, oldestVersion: 1, incarnation: Date.now(), features: 0, replaces: NO_TUNNEL_ID };
    this.mux = new Mux<undefined>(
      {
        role: 'dialer',
        hello: { ...hello, tunnelId: crypto.getRandomValues(new Uint8Array(16)) },
        windows: new WindowPool(4 * 1024 ** 3).windowsOf('node'),
        maxPeerStreams: 100_000,
        opensPerSecond: 100_000,
        counters: new Counters(),
      },
      performance.now(),
    );
    socket.on('data', (chunk: Buffer) => {
      this.mux.handleBytes(chunk, performance.now());
      this.pump();
    });
    socket.on('error', () => socket.destroy());
    const timer = setInterval(() => {
      this.mux.handleDeadline(performance.now());
      this.pump();
    }, 250);
    socket.once('close', () => clearInterval(timer));
    socket.resume();
  }

  /** Links to a node as `name`, with a new certificate unless told which; resolves when both HELLOs have crossed. */
  static async link(ca: TestCa, name: string, node: string, port: number, leaf?: TestLeaf): Promise<RawPeer> {
    const { certPem, keyPem } = leaf ?? (await ca.issue({ name }));
    const credentials = createTunnelCredentials({
      name,
      trustDomain: ca.trustDomain,
      privateKey: createPrivateKey(keyPem),
      certificatePem: certPem,
      issuerPems: [ca.issuerPem],
    });
    const expectedSpiffeId = `spiffe://${ca.trustDomain}/node/${node}`;
    const options = { credentials, expectedSpiffeId, isRevoked: () => false };
    const { socket } = await dialLink(`127.0.0.1:${port}`, options, new AbortController().signal);
    const peer = new RawPeer(socket);
    const up = Promise.withResolvers<void>();
    peer.onEvent = (event) => {
      if (event.kind === 'up') {
        peer.incarnation = event.hello.incarnation;
        up.resolve();
      }
      if (event.kind === 'failed') up.reject(new Error(event.reason.code));
    };
    peer.pump();
    await up.promise;
    peer.onEvent = () => {};
    return peer;
  }

  /** Sends what may be sent and hands out events. */
  pump(): void {
    const nowMs = performance.now();
    for (let event = this.mux.poll(); event !== undefined; event = this.mux.poll()) this.onEvent(event);
    this.socket.cork();
    for (let piece = this.mux.pollTransmit(nowMs); piece !== undefined; piece = this.mux.pollTransmit(nowMs)) {
      this.socket.write(piece);
    }
    this.socket.uncork();
    for (let event = this.mux.poll(); event !== undefined; event = this.mux.poll()) this.onEvent(event);
  }

  /** Opens a circuit; the answer is an event. */
  openCircuit(remaining: readonly string[]): MuxStream<undefined> {
    const opened = this.mux.open(StreamKind.circuit, encodeCircuitOpen(remaining), undefined, 'local');
    if (!opened.ok) throw new Error(opened.error);
    return opened.value;
  }

  async close(): Promise<void> {
    this.socket.destroy();
    if (!this.socket.closed) await once(this.socket, 'close');
  }
}
