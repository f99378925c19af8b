/** A member with a proper identity that relays circuits and, once armed, does not pass on what it got. */
import { createPrivateKey } from 'node:crypto';
import { type MeshRuntime, startMeshRuntime } from '#apps/node/mesh-runtime.ts';
import { createTunnelCredentials } from '#io/tunnel-tls/credentials.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { Relay } from '#mesh/node/relay.ts';
import { ALLOW_ALL_STREAMS } from '#mesh/node/stream-policy.ts';
import type { RelayOwner, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import type { StaticMesh } from './static-mesh.ts';

/** What becomes of the bytes of one direction of a circuit; `history` holds what that direction carried before, oldest first. */
export type Tamper = (bytes: Uint8Array, history: readonly Uint8Array[]) => readonly Uint8Array[] | 'finish';

/** Pieces of one direction that a tamperer can look back at. */
const HISTORY_PIECES = 8;

/** Works in the test's own process; the honest nodes are processes of their own, so that their relays are untouched. */
export class EvilRelay {
  readonly runtime: MeshRuntime;
  readonly #restore: () => void;
  readonly #histories = new WeakMap<Stream, Uint8Array[]>();
  readonly #finished = new WeakSet<Stream>();
  /** Pieces that were changed, held back or made up. */
  tampered = 0;
  tamper: Tamper | undefined;
  /** Ends every circuit here, as if it were its destination. */
  impersonates = false;

  private constructor(runtime: MeshRuntime) {
    this.runtime = runtime;
    this.#restore = EvilRelay.#patch(this);
  }

  static #patch(evil: EvilRelay): () => void {
    const { handleData, handleOpen } = Object.getOwnPropertyDescriptors(Relay.prototype);
    const [honestData, honestOpen] = [handleData.value, handleOpen.value];
    Relay.prototype.handleOpen = function open(this: Relay, tunnel, stream, body): void {
      honestOpen?.call(this, tunnel, stream, evil.impersonates ? encodeCircuitOpen([]) : body);
    };
    Relay.prototype.handleData = function data(this: Relay, tunnel, stream, owner, bytes, nowMs): void {
      if (!evil.#interferes(tunnel, stream, owner, bytes, nowMs))
        honestData?.call(this, tunnel, stream, owner, bytes, nowMs);
    };
    return () => Object.defineProperties(Relay.prototype, { handleData, handleOpen });
  }

  /** Joins `mesh` as `name`, which the mesh knows as a stranger, and dials those it is to link to. */
  static async start(mesh: StaticMesh, name: string): Promise<EvilRelay> {
    const { certPem, keyPem } = await mesh.ca.issue({ name });
    const credentials = createTunnelCredentials({
      name,
      trustDomain: mesh.ca.trustDomain,
      privateKey: createPrivateKey(keyPem),
      certificatePem: certPem,
      issuerPems: [mesh.ca.issuerPem],
    });
    const runtime = await startMeshRuntime({
      credentials: () => credentials,
      relay: true,
      incarnation: Date.now(),
      link: undefined,
      detector: undefined,
      connectTarget: async () => await Promise.reject(new Error('it publishes nothing')),
      policy: ALLOW_ALL_STREAMS,
      gossip: { isSigned: () => false, believe: () => false },
      warn: () => {},
    });
    runtime.node.handleSnapshot(mesh.snapshot, performance.now());
    runtime.driver.schedule();
    return new EvilRelay(runtime);
  }

  stop(): void {
    this.#restore();
    this.runtime.close();
  }

  #interferes(tunnel: Tunnel, stream: Stream, owner: RelayOwner, bytes: Uint8Array, nowMs: number): boolean {
    const history = this.#histories.get(stream) ?? [];
    this.#histories.set(stream, history);
    const isFinished = this.#finished.has(stream);
    const pieces = isFinished ? [] : (this.tamper?.(bytes, history) ?? [bytes]);
    history.push(new Uint8Array(bytes));
    if (history.length > HISTORY_PIECES) history.shift();
    if (pieces.length === 1 && pieces[0] === bytes) return false;
    this.tampered++;
    if (pieces === 'finish') {
      this.#finished.add(stream);
      owner.mateTunnel.mux.finish(owner.mate, nowMs);
    } else {
      for (const piece of pieces) owner.mateTunnel.mux.send(owner.mate, piece, nowMs);
    }
    // The sender never notices by its credit.
    tunnel.mux.consume(stream, bytes.byteLength, nowMs);
    return true;
  }
}
