import { describe, expect, test } from 'vitest';
import { Counters } from '#kernel/counters.ts';
import { WindowPool } from '#mesh/mux/window-pool.ts';
import { createTunnel } from '#mesh/node/create-tunnel.ts';
import type { OpenedTunnel } from '#mesh/node/node-options.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';
import { decideUpkeep, noteReplacing, replacementWallMs } from '#mesh/node/tunnel-upkeep.ts';

const peer = {
  spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome',
  name: 'rome',
  role: 'node',
  serial: '1',
  certificateHash: '00',
  notBeforeMs: 0,
  notAfterMs: 10_000,
  publicKeyAlgorithm: 'ml-dsa-65',
} as const;

function tunnel(opened: Partial<OpenedTunnel> = {}, state: Tunnel['state'] = 'up'): Tunnel {
  const made = createTunnel(
    { peer, via: 'circuit', role: 'dialer', hops: ['rome'], group: 'X25519MLKEM768', ...opened },
    undefined,
    {
      id: 1,
      tunnelId: new Uint8Array(16),
      incarnation: 1,
      pool: new WindowPool(),
      maxPeerStreams: 8,
      opensPerSecond: 8,
      counters: new Counters(),
      nowMs: 0,
      wallMs: 0,
    },
  );
  made.state = state;
  return made;
}

function worn(gibibytes: number, state: Tunnel['state']): Tunnel {
  const made = tunnel({ via: 'tcp' }, state);
  Object.defineProperty(made.mux, 'carriedBytes', { value: gibibytes * 1024 ** 3 });
  return made;
}

describe('upkeep', () => {
  test('ends a tunnel with the earlier of its two certificates', () => {
    expect(decideUpkeep(tunnel(), 0, 9_999)?.kind).toBe('replace');
    expect(decideUpkeep(tunnel(), 0, 10_000)).toEqual({ kind: 'end', reason: { code: 'CERT_EXPIRED' } });
    expect(decideUpkeep(tunnel({ ownNotAfterMs: 5_000 }), 0, 5_000)?.reason.code).toBe('CERT_EXPIRED');
  });

  test('replaces a tunnel that this side dialled in the last quarter of its certificates, each attempt later than the one before', () => {
    expect(decideUpkeep(tunnel(), 0, 7_499)).toBeUndefined();
    expect(decideUpkeep(tunnel(), 0, 7_500)).toEqual({ kind: 'replace', reason: { code: 'TUNNEL_REPLACED' } });
    expect(decideUpkeep(tunnel({ role: 'acceptor' }), 0, 7_500)).toBeUndefined();
    expect(replacementWallMs(0, 10_000, 7_500)).toBe(8_750);
    expect(replacementWallMs(0, 10_000, 8_750)).toBe(9_375);
    // The shortest life, five minutes, backdated by fifteen.
    expect(replacementWallMs(-900_000, 300_000, 0)).toBe(225_000);
  });

  test('drains an end-to-end tunnel of ours that was idle for a minute, and no other', () => {
    expect(decideUpkeep(tunnel(), 59_999, 0)).toBeUndefined();
    expect(decideUpkeep(tunnel(), 60_000, 0)).toEqual({ kind: 'drain', reason: { code: 'TUNNEL_IDLE' } });
    expect(decideUpkeep(tunnel({ role: 'acceptor' }), 60_000, 0)).toBeUndefined();
    expect(decideUpkeep(tunnel({ via: 'tcp' }), 60_000, 0)).toBeUndefined();
  });

  test('replaces a tunnel near the limit of its key, asks again only much later, and ends it before that limit whatever it carries', () => {
    expect(decideUpkeep(worn(255, 'up'), 0, 0)).toBeUndefined();
    const made = worn(256, 'up');
    expect(decideUpkeep(made, 0, 0)).toEqual({ kind: 'replace', reason: { code: 'TUNNEL_REPLACED' } });
    noteReplacing(made, 0);
    expect(decideUpkeep(made, 0, 0)).toBeUndefined();
    expect(made.replaceBytes).toBe(264 * 1024 ** 3);
    expect(decideUpkeep(worn(319, 'draining'), 0, 0)).toBeUndefined();
    expect(decideUpkeep(worn(320, 'draining'), 0, 0)).toEqual({ kind: 'end', reason: { code: 'TUNNEL_KEY_LIMIT' } });
  });

  test('ends a draining tunnel a quarter of a second after its last stream', () => {
    expect(decideUpkeep(tunnel({}, 'draining'), 249, 0)).toBeUndefined();
    expect(decideUpkeep(tunnel({}, 'draining'), 250, 0)).toEqual({ kind: 'end', reason: { code: 'TUNNEL_DRAINED' } });
  });
});
