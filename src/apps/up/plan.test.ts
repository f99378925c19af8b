import { describe, expect, test } from 'vitest';
import { parseUpConfig } from './config.ts';
import { formatBanner, formatRestart } from './banner.ts';
import { controlArguments, defaultPorts, nodeArguments, plannedAddresses, planMesh, portBlock } from './plan.ts';

const config = parseUpConfig({ host: '192.0.2.7' }, '/data', './x0');
const GUEST = { node: 'paris', token: 'x0join.abc' };
const plan = planMesh('/data', '192.0.2.7', defaultPorts());

describe('the plan of the mesh', () => {
  test('puts the documented ports where the README says', () => {
    const oslo = plan.nodes.find((node) => node.name === 'oslo');
    expect(oslo).toMatchObject({
      socks: { port: 1080 },
      http: { port: 8081 },
      link: { port: 7101 },
      admin: { port: 7201 },
    });
    expect([plan.controlAdmin.port, plan.enrolment.port]).toEqual([8000, 8443]);
  });

  test('uses no port twice', () => {
    for (const ports of [defaultPorts(), portBlock(20_000)]) {
      const used = plannedAddresses(planMesh('/data', '127.0.0.1', ports)).map((address) => address.port);
      expect(new Set(used).size).toBe(27);
    }
  });

  test('binds only enrolment and the links of relays to the host that others reach', () => {
    const open = plannedAddresses(plan).filter((address) => address.host === '192.0.2.7');
    expect(open).toEqual([plan.enrolment, ...plan.nodes.filter((node) => node.relay).map((node) => node.link)]);
  });

  test('gives the two ends no link and no common relay', () => {
    const [oslo, lima] = plan.nodes;
    expect(oslo?.links?.filter((name) => name === 'lima' || lima?.links?.includes(name))).toEqual([]);
  });
});

test('the banner names every node, the service, the curl line, the join line and what is not protected', () => {
  const banner = formatBanner(config, plan, plan.nodes, { guest: GUEST, firstCode: 'x0i_code' }, 4321);
  for (const { name } of plan.nodes) expect(banner).toContain(name);
  expect(banner).toContain('curl --proxy socks5h://127.0.0.1:1080 http://hello.mesh/');
  expect(banner).toContain('./x0 node --join x0join.abc --data-dir /data/nodes/paris');
  expect(banner).toContain('policy list');
  expect(banner).toContain('4.3 s');
  expect(banner).toContain('./x0 register x0i_code --name NAME');
});

test('the banner counts what runs, and says how a node that does not comes back', () => {
  const running = plan.nodes.filter(({ name }) => name !== 'lima');
  const banner = formatBanner(config, plan, running, { guest: GUEST, firstCode: undefined }, 4321);
  expect(banner).toContain('a control plane and 5 nodes');
  expect(banner).toMatch(/lima is not started: .* rm -r \S+lima, /);
  expect(banner).not.toContain('curl');
});

test('a program that ended is started again by the line that is printed', () => {
  const [, , rome] = plan.nodes;
  expect(formatRestart(config, plan, 'rome')).toBe(
    `./x0 ${rome === undefined ? '' : nodeArguments(plan, rome).join(' ')}`,
  );
  expect(formatRestart(config, plan, 'control')).toBe(`./x0 ${controlArguments(plan, '/data').join(' ')}`);
  const spaced = planMesh("/my data's", '127.0.0.1', defaultPorts());
  expect(formatRestart(config, spaced, 'rome')).toContain(String.raw`--data-dir '/my data'\''s/nodes/rome'`);
});

test.each([
  { host: 'localhost' },
  { host: '0.0.0.0' },
  { host: '::' },
  { portsBase: '80' },
  { portsBase: 'x' },
  { portsBase: '65520' },
])('%j is refused', (flags) => {
  expect(() => parseUpConfig(flags, '/data', './x0')).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
});

test('no node of the mesh lets a service lead to a port of another part of it, and all let it lead to hello', () => {
  const plan = planMesh('/data', '127.0.0.1', defaultPorts());
  for (const node of plan.nodes) {
    const args = nodeArguments(plan, node);
    expect(args[args.indexOf('--protect-ports') + 1]).toBe('1080-1085,7101-7106,7201-7206,8000,8081-8086,8443');
  }
});
