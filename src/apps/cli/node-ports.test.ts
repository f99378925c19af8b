import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CodedError } from '#control/coded-error.ts';
import { type Listener, listenTcp } from '#io/edge-listener/tcp-listener.ts';
import { parseNodeConfig } from '../node/config.ts';
import { formatListeners, runWithFreeDefaults, withFreeDefaults } from './node-ports.ts';

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

  test('that was taken since it was chosen is chosen anew, one that was asked for is refused at once', async () => {
    const [first, second] = [inUse(), { ...inUse(), socks: undefined }];
    const tried: (object | undefined)[] = [];
    const run = async ({ socks }: { readonly socks?: object | undefined }): Promise<string> => {
      tried.push(socks);
      if (socks !== undefined) throw new CodedError('PORT_IN_USE', 'taken');
      return 'runs';
    };
    const choices = [first, second];
    expect(await runWithFreeDefaults(async () => choices.shift() ?? second, run)).toBe('runs');
    expect(tried).toEqual([taken.address, undefined]);
    tried.length = 0;
    await expect(runWithFreeDefaults(async () => first, run)).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect(tried).toHaveLength(1);
  });

  test('is named with the node', () => {
    expect(formatListeners('paris', inUse())).toMatch(/^paris: node is up: SOCKS5 127\.0\.0\.1:\d+, HTTP proxy off/);
  });
});
