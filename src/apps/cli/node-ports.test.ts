import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Listener, listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { parseNodeConfig } from '../node/config.ts';
import { formatListeners, withFreeDefaults } from './node-ports.ts';

let taken: Listener;

beforeEach(async () => {
  taken = await listenTcp({ host: '127.0.0.1', port: 0 }, (socket) => socket.destroy());
});

afterEach(async () => taken.close());

describe('a listener whose port is in use', () => {
  const off = { socks: 'off', http: 'off', admin: 'off' };
  const inUse = () => ({ ...parseNodeConfig(off, {}, '/nowhere'), socks: taken.address });

  test('takes a free port when nobody asked for this one', async () => {
    const { socks, http } = await withFreeDefaults(inUse(), {}, {});
    expect(socks?.port).not.toBe(taken.address.port);
    expect(http).toBeUndefined();
  });

  test('stays where a flag or a variable put it, also at the default address', async () => {
    const text = '127.0.0.1:1080';
    expect((await withFreeDefaults(inUse(), { socks: text }, {})).socks).toEqual(taken.address);
    expect((await withFreeDefaults(inUse(), {}, { X0_SOCKS: text })).socks).toEqual(taken.address);
  });

  test('is named with the node', () => {
    expect(formatListeners('paris', inUse())).toMatch(/^paris: node is up: SOCKS5 127\.0\.0\.1:\d+, HTTP proxy off/);
  });
});
