import { describe, expect, test } from 'vitest';
import { parseNodeConfig } from './config.ts';

describe('the configuration of a node', () => {
  test('has proxies and administration on loopback and only dials out by default', () => {
    expect(parseNodeConfig({}, {}, '/data')).toEqual({
      dataDir: '/data',
      join: undefined,
      control: undefined,
      link: undefined,
      advertise: [],
      relay: false,
      detector: 'normal',
      socks: { host: '127.0.0.1', port: 1080 },
      http: { host: '127.0.0.1', port: 8081 },
      admin: { host: '127.0.0.1', port: 7201 },
      staleAfterMs: 43_200_000,
      allowTargets: [],
      protectPorts: [],
    });
  });

  test('advertises the link address, unless it is every address', () => {
    expect(parseNodeConfig({ link: '[2001:db8::1]:7101' }, {}, '/data').advertise).toEqual(['[2001:db8::1]:7101']);
    expect(() => parseNodeConfig({ link: '0.0.0.0:7101' }, {}, '/data')).toThrow(/--advertise/);
    expect(parseNodeConfig({ link: '0.0.0.0:7101', advertise: ['a.example:1'] }, {}, '/data').advertise).toEqual([
      'a.example:1',
    ]);
  });

  test('comes from the environment where no flag is given', () => {
    const environment = {
      X0_SOCKS: 'off',
      X0_RELAY: 'true',
      X0_ALLOW_TARGETS: '10.0.0.0/8:5432, db:1',
      X0_PROTECT_PORTS: '8000,7101-7103',
      X0_JOIN: 'x0join.a',
    };
    const config = parseNodeConfig({ http: '127.0.0.1:1' }, environment, '/data');
    expect(config).toMatchObject({
      socks: undefined,
      relay: true,
      allowTargets: ['10.0.0.0/8:5432', 'db:1'],
      protectPorts: [8000, 7101, 7102, 7103],
      http: { port: 1 },
    });
  });

  test.each([
    { socks: 'x' },
    { link: '1.2.3.4' },
    { admin: '1.2.3.4:99999' },
    { link: '1.2.3.4:1', advertise: ['x'] },
    { control: '1.2.3.4:' },
    { staleAfter: '44' },
    { staleAfter: '1h' },
    { staleAfter: '604801' },
  ])('%j is refused', (flags) => {
    expect(() => parseNodeConfig(flags, {}, '/data')).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
  });

  test('a flag in the environment is true or false', () => {
    expect(() => parseNodeConfig({}, { X0_RELAY: 'maybe' }, '/data')).toThrow(/X0_RELAY/);
  });
});
