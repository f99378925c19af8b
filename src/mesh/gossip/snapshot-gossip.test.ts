import { createHash, randomBytes } from 'node:crypto';
import { assert, property, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeGossip, encodeGossip, PART_BYTES } from '#mesh/gossip/gossip-message.ts';
import { SnapshotGossip } from '#mesh/gossip/snapshot-gossip.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';

const SIGNER = new Uint8Array(5_000).fill(7);
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
const signature = (isTrue: boolean): Uint8Array => new Uint8Array([isTrue ? 1 : 0]);

function snapshot(
  version: number,
  body = new Uint8Array([version]),
  issuedAtMs = 1_000,
  isTrue = true,
): SignedSnapshot {
  const header = {
    version,
    bodyHash: sha256(body),
    issuedAtMs,
    signerHash: sha256(SIGNER),
    signature: signature(isTrue),
  };
  return { header, body, signer: SIGNER };
}

/** Nodes of which all are neighbours; what is sent waits until `run`. */
class Circle {
  readonly nodes = new Map<string, SnapshotGossip>();
  readonly believed = new Map<string, SignedSnapshot>();
  readonly judged = new Map<string, number>();
  readonly sent: { from: string; to: string; message: Uint8Array }[] = [];
  /** Nodes that answer nothing. */
  readonly mute = new Set<string>();
  nowMs = 0;
  mostBytes = 0;

  constructor(...names: readonly string[]) {
    for (const name of names) {
      const isSigned = (header: SignedSnapshot['header']): boolean => {
        this.judged.set(name, (this.judged.get(name) ?? 0) + 1);
        return header.signature[0] === 1;
      };
      this.nodes.set(name, new SnapshotGossip({ isSigned }));
    }
    for (const [a, node] of this.nodes)
      for (const b of this.nodes.keys()) if (a !== b) node.handleLinkUp(b, this.nowMs);
  }

  node(name: string): SnapshotGossip {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(name);
    return node;
  }

  believe(name: string, given: SignedSnapshot): void {
    this.believed.set(name, given);
    this.node(name).handleCurrent(given, this.nowMs);
  }

  run(durationMs = 0): this {
    const endMs = this.nowMs + durationMs;
    do {
      this.nowMs = Math.min(endMs, this.nowMs + 250);
      for (const node of this.nodes.values()) node.handleDeadline(this.nowMs);
      while (this.#step());
    } while (this.nowMs < endMs);
    return this;
  }

  #step(): boolean {
    let isBusy = false;
    for (const [from, node] of this.nodes) {
      for (let output = node.poll(); output !== undefined; output = node.poll()) {
        isBusy = true;
        if (output.kind === 'send') this.sent.push({ from, to: output.peer, message: output.message });
        else this.believe(from, { ...output.offer, body: output.offer.body ?? this.#known(from).body });
      }
    }
    for (const { from, to, message } of this.sent.splice(0)) {
      isBusy = true;
      this.mostBytes = Math.max(this.mostBytes, message.byteLength);
      if (!this.mute.has(to)) this.node(to).handleMessage(from, message, this.nowMs);
    }
    return isBusy;
  }

  #known(name: string): SignedSnapshot {
    const known = this.believed.get(name);
    if (known === undefined) throw new Error(`${name} knows nothing`);
    return known;
  }
}

describe('SnapshotGossip', () => {
  it('what one node believes reaches all, also a body of many parts', () => {
    const circle = new Circle('a', 'b', 'c');
    const body = new Uint8Array(randomBytes(3 * PART_BYTES + 17));
    circle.believe('a', snapshot(1, body));
    circle.run();
    expect(circle.believed.get('b')?.body).toEqual(body);
    expect(circle.believed.get('c')?.header.version).toBe(1);
  });

  it('a snapshot that is only signed anew moves no body', () => {
    const circle = new Circle('a', 'b');
    const body = new Uint8Array(PART_BYTES);
    circle.believe('a', snapshot(1, body));
    circle.run();
    circle.believe('a', snapshot(1, body, 2_000));
    circle.mostBytes = 0;
    circle.run();
    expect(circle.mostBytes).toBeLessThan(200);
    expect(circle.believed.get('b')?.header.issuedAtMs).toBe(2_000);
  });

  it('one who knows the older takes the newer and gives nothing back', () => {
    const circle = new Circle('a', 'b');
    circle.believe('a', snapshot(5));
    circle.believe('b', snapshot(4));
    circle.run();
    expect(circle.believed.get('a')?.header.version).toBe(5);
    expect(circle.believed.get('b')?.header.version).toBe(5);
  });

  it('what nobody signed is judged once a second, without its body, and does not keep the true one away', () => {
    const circle = new Circle('a', 'liar', 'b');
    circle.mute.add('liar');
    for (let round = 0; round < 40; round++) {
      const lie = encodeGossip({ kind: 'have', header: snapshot(1_000 + round, undefined, 1_000, false).header });
      circle.node('b').handleMessage('liar', lie, circle.nowMs);
      circle.node('b').handleMessage('liar', encodeGossip({ kind: 'signer', der: SIGNER }), circle.nowMs);
      circle.run(250);
    }
    expect(circle.judged.get('b')).toBeLessThanOrEqual(11);
    circle.believe('a', snapshot(2));
    circle.run(2_500);
    expect(circle.believed.get('b')?.header.version).toBe(2);
  });

  it('a neighbour that announces and does not give is left for another', () => {
    const circle = new Circle('mute', 'a', 'b');
    circle.mute.add('mute');
    circle.node('b').handleMessage('mute', encodeGossip({ kind: 'have', header: snapshot(3).header }), 0);
    circle.believe('a', snapshot(3));
    circle.run(2_500);
    expect(circle.believed.get('b')?.header.version).toBe(3);
  });

  it('a body that another snapshot brought first is not offered', () => {
    const circle = new Circle('a', 'b');
    circle.believe('a', snapshot(2));
    circle.believe('b', snapshot(3));
    circle.run();
    expect(circle.believed.get('b')?.header.version).toBe(3);
  });

  it('a part that does not fit what was said before ends the pull', () => {
    const { nodes, nowMs } = new Circle('b', 'liar');
    const node = nodes.get('b');
    const { header } = snapshot(2, new Uint8Array(10));
    node?.handleMessage('liar', encodeGossip({ kind: 'have', header }), nowMs);
    node?.handleMessage('liar', encodeGossip({ kind: 'signer', der: SIGNER }), nowMs);
    const part = { kind: 'body', hash: header.bodyHash, offset: 0, totalBytes: 8, bytes: new Uint8Array(9) } as const;
    expect(node?.handleMessage('liar', encodeGossip(part), nowMs)).toBe(true);
    const kinds: string[] = [];
    for (let output = node?.poll(); output !== undefined; output = node?.poll())
      kinds.push(output.kind === 'send' ? (decodeGossip(output.message)?.kind ?? 'malformed') : output.kind);
    expect(kinds).toEqual(['want-signer', 'want-body']);
  });

  it('a neighbour is given the largest body at once and no more of it than its share', () => {
    const circle = new Circle('a', 'greedy');
    circle.believe('a', snapshot(1, new Uint8Array(PART_BYTES)));
    const node = circle.node('a');
    while (node.poll() !== undefined);
    const ask = encodeGossip({
      kind: 'want-body',
      hash: snapshot(1, new Uint8Array(PART_BYTES)).header.bodyHash,
      offset: 0,
    });
    for (let round = 0; round < 1_000; round++) node.handleMessage('greedy', ask, circle.nowMs);
    let parts = 0;
    while (node.poll() !== undefined) parts++;
    expect(parts).toBe(171);
  });

  it('malformed messages are told, and never thrown', () => {
    const { nodes } = new Circle('a', 'b');
    assert(
      property(uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof nodes.get('a')?.handleMessage('b', bytes, 0)).toBe('boolean');
      }),
    );
  });
});
