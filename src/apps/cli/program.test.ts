import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { rememberRestarts } from '../up/restart-lines.ts';
import { createProgram } from './program.ts';

const TOKEN = 'secret';
const STATUS = {
  nodes: [
    {
      name: 'oslo',
      spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
      pid: 4711,
      relay: false,
      state: 'up',
      listen: { link: '127.0.0.1:7101', socks: '127.0.0.1:1080', http: null, admin: null },
      peers: [{ name: 'rome', state: 'up' }],
      services: ['hello'],
      snapshotVersion: 12,
      snapshotIssuedAt: '2026-11-22T18:00:00.000Z',
    },
    { name: 'rome', state: 'down', relay: true, listen: {}, peers: [], services: [], pid: null },
  ],
  services: [{ name: 'hello', nodes: ['oslo'], instances: [{ node: 'oslo', host: '127.0.0.1', port: 80 }] }],
};

let server: Server;
let folder: string;
let warned: string[];
let isTerminal: boolean;
let asked: { line: string; body: unknown }[];
let answers: Record<string, readonly [number, unknown]>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-cli-'));
  asked = [];
  warned = [];
  isTerminal = false;
  answers = {
    'GET /api/v1/status': [200, STATUS],
    'GET /api/v1/nodes': [200, { nodes: STATUS.nodes }],
    'GET /api/v1/services': [200, { services: STATUS.services }],
    'POST /api/v1/tokens': [201, { token: 'x0join.abc', node: 'paris', expiresAt: '2026-11-22T20:00:00Z' }],
    'GET /api/v1/nodes/oslo/peers': [200, { peers: [{ name: 'rome', state: 'up', rttMs: 0.3 }] }],
    'GET /api/v1/nodes/oslo/streams': [200, { streams: [] }],
    'GET /api/v1/nodes/oslo/path?to=lima': [
      200,
      { primary: { hops: ['oslo', 'rome', 'lima'], cost: 3 }, backup: null },
    ],
    'GET /api/v1/nodes/oslo/ping?to=rome': [200, { rttMs: 0.25 }],
  };
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const line = `${request.method} ${request.url}`;
      asked.push({ line, body: body === '' ? undefined : JSON.parse(body) });
      const isKnown = request.headers.authorization === `Bearer ${TOKEN}`;
      const refusal = { error: { code: 'CREDENTIAL_WRONG', message: 'no', traceId: '1' } };
      const [status, answer] = isKnown ? (answers[line] ?? [204, undefined]) : [401, refusal];
      response.writeHead(status).end(answer === undefined ? undefined : JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  writeFileSync(join(folder, 'control.json'), JSON.stringify({ admin: `127.0.0.1:${port}` }));
  writeFileSync(join(folder, 'admin.token'), `${TOKEN}\n`);
});

afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

async function x0(...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const config = { dataDir: folder, command: './x0', version: '0.1.0', environment: {} };
  const say = { print: (line: string) => lines.push(line), warn: (line: string) => warned.push(line) };
  const program = createProgram({ config, isTerminal, ...say });
  await program.parseAsync(args, { from: 'user' });
  return lines.join('\n');
}

describe('reading', () => {
  test('status as a table and as the control plane’s own JSON', async () => {
    expect(await x0('status')).toMatch(
      /^NODE +STATE.*\noslo +up +no +4711 +127\.0\.0\.1:7101 +127\.0\.0\.1:1080 +- +rome +12, \d+ s old +hello\n/,
    );
    expect(JSON.parse(await x0('status', '--json'))).toEqual(STATUS);
  });

  test('status says what is wrong, who is down and who is revoked', async () => {
    const [oslo, rome] = STATUS.nodes;
    const problems = [{ code: 'PORT_IN_USE', message: 'forward of db' }];
    const paris = { name: 'paris', state: 'down', revoked: true };
    const nodes = [{ ...oslo, problems }, { ...rome, heardAt: '2026-11-22T18:00:00.123Z' }, paris];
    answers['GET /api/v1/status'] = [200, { nodes, services: [] }];
    const shown = await x0('status');
    expect(shown).toMatch(/oslo +PORT_IN_USE +forward of db/);
    expect(shown).toContain('rome is down since 2026-11-22T18:00:00Z; see its log');
    expect(shown).toMatch(/\nparis +revoked .*paris is revoked; /s);
  });

  test('streams say how often they moved, why, what it cost, and where there is no second way', async () => {
    const stream = { role: 'client', service: 'db', peer: 'lima', path: ['oslo', 'rome', 'lima'] };
    const moves = [
      { from: [], to: [], reason: 'LINK_LOST', gapMs: 212.4 },
      { from: [], to: [], reason: 'PATH_DRAINING', gapMs: 3.14 },
    ];
    const open = [
      { ...stream, protected: true, moveCount: 2, moves },
      { ...stream, protected: false, moveCount: 0, moves: [], state: 'detached' },
    ];
    const gone = { ...stream, endedAt: '2026-11-22T18:00:00.123Z', moveCount: 0, moves: [] };
    const ended = [
      { ...gone, reason: 'CONDUIT_LOST' },
      { ...gone, reason: null },
    ];
    answers['GET /api/v1/nodes/oslo/streams'] = [200, { streams: open, ended }];
    const shown = await x0('streams', 'oslo');
    expect(shown).toMatch(/ 2x PATH_DRAINING 3\.1 ms +oslo,rome,lima\n/);
    expect(shown).toMatch(/ - +oslo,rome,lima detached unprotected$/);
    const past = await x0('streams', 'oslo', '--ended');
    expect(past).toMatch(/ 2026-11-22T18:00:00Z +CONDUIT_LOST /);
    expect(past).toContain('both sides were done');
  });

  test('a node that drains, and one that was drained, are shown as such', async () => {
    rememberRestarts(folder, { rome: './x0 node --data-dir /data/rome' });
    const [oslo, rome] = STATUS.nodes;
    const nodes = [
      { ...oslo, drain: 'draining' },
      { ...rome, drain: 'drained', heardAt: '2026-11-22T18:00:00.123Z' },
    ];
    answers['GET /api/v1/status'] = [200, { nodes, services: [] }];
    const shown = await x0('status');
    expect(shown).toMatch(/\noslo +draining .*\nrome +drained /);
    expect(shown).toContain('rome was drained and stopped 2026-11-22T18:00:00Z; start it again in another terminal: ');
  });

  test('drain and undrain pass on what they are given and say what follows', async () => {
    answers['POST /api/v1/nodes/oslo/drain'] = [200, { name: 'oslo', drain: 'draining', circuits: 3, streams: 1 }];
    expect(await x0('drain', 'oslo', '--grace', '5')).toMatch(
      /^oslo drains: it carries 3 circuits of others and 1 stream of .* in 5 s\n.*undrain oslo takes it back$/,
    );
    expect(asked.at(-1)?.body).toEqual({ graceSeconds: 5 });
    expect(await x0('drain', 'oslo', '--grace', '0')).toMatch(/^oslo drains: it carries .* ends them now, and stops$/);
    answers['POST /api/v1/nodes/oslo/undrain'] = [200, { name: 'oslo', state: 'up', drain: null }];
    expect(await x0('undrain', 'oslo')).toBe('oslo serves on');
    answers['POST /api/v1/nodes/oslo/undrain'] = [200, { name: 'oslo', state: 'down', drain: null }];
    expect(await x0('undrain', 'oslo')).toMatch(/^oslo does not count as drained any more; it is down; /);
  });

  test.each([-1, 86_401])('the node judges whether a grace time of %i s is in range', async (graceSeconds) => {
    const error = { code: 'GRACE_INVALID', message: 'the grace time is 0 to 86400 seconds' };
    answers['POST /api/v1/nodes/oslo/drain'] = [400, { error }];
    await expect(x0('drain', 'oslo', '--grace', `${graceSeconds}`)).rejects.toMatchObject(error);
    expect(asked.at(-1)?.body).toEqual({ graceSeconds });
  });

  test('status says how a node of x0 up that is down is started again', async () => {
    rememberRestarts(folder, { rome: './x0 node --data-dir /data/rome', paris: 'no' });
    const shown = await x0('status');
    expect(shown).toMatch(
      /\nrome is down .*if `\.\/x0 up` started it, its log is .*logs\/rome\.log; start it again in another terminal: \.\/x0 node --data-dir \/data\/rome$/,
    );
    expect(shown).not.toContain('oslo is down');
  });

  test('services come with forwards, PROXY v2 and brackets', async () => {
    const instances = [{ node: 'oslo', host: '::1', port: 80, proxyProtocol: true }];
    const forwards = [{ node: 'rome', service: 'db', host: '127.0.0.1', port: 15_432 }];
    answers['GET /api/v1/services'] = [200, { services: [{ name: 'db', instances }], forwards }];
    const shown = await x0('services');
    expect(shown).toContain('oslo ([::1]:80, PROXY v2)');
    expect(shown).toMatch(/rome +127\.0\.0\.1:15432 +db\.mesh/);
  });

  test('services mark instances whose node serves nobody', async () => {
    const instances = [
      { node: 'oslo', host: '127.0.0.1', port: 80 },
      { node: 'rome', host: '127.0.0.1', port: 81 },
    ];
    answers['GET /api/v1/services'] = [200, { services: [{ name: 'db', instances }] }];
    expect(await x0('services')).toContain('oslo (127.0.0.1:80), rome (127.0.0.1:81, down)');
  });

  test('nodes and services', async () => {
    expect(await x0('node', 'list')).toContain('rome');
    expect(await x0('services')).toMatch(/hello +oslo \(127\.0\.0\.1:80\) +hello\.mesh/);
    expect(JSON.parse(await x0('services', '--json'))).toEqual({ services: STATUS.services });
  });

  test('peers and streams of one node, or of all that are up', async () => {
    expect(JSON.parse(await x0('peers', '--json'))).toEqual({
      peers: [{ node: 'oslo', name: 'rome', state: 'up', rttMs: 0.3 }],
    });
    expect(await x0('peers', 'oslo')).toMatch(/oslo +rome +up +0\.3/);
    expect(await x0('streams')).toBe('no stream is open');
    expect(await x0('streams', '--ended')).toBe('no stream ended lately');
  });

  test('a node that does not answer is named, and takes nothing away from the others', async () => {
    const [oslo] = STATUS.nodes;
    answers['GET /api/v1/status'] = [200, { nodes: [oslo, { ...oslo, name: 'delhi' }, { ...oslo, name: 'lima' }] }];
    const error = { code: 'NODE_TIMEOUT', message: 'delhi did not answer in 5000 ms' };
    answers['GET /api/v1/nodes/delhi/peers'] = [504, { error }];
    answers['GET /api/v1/nodes/lima/peers'] = [503, { error: { code: 'NODE_BUSY', message: 'too many' } }];
    expect(await x0('peers')).toMatch(/\noslo +rome +up +0\.3/);
    expect(warned).toEqual(['x0: no answer from delhi (NODE_TIMEOUT), lima (NODE_BUSY)']);
    expect(JSON.parse(await x0('peers', '--json'))).toEqual({
      peers: [{ node: 'oslo', name: 'rome', state: 'up', rttMs: 0.3 }],
      unanswered: [
        { node: 'delhi', ...error },
        { node: 'lima', code: 'NODE_BUSY', message: 'too many' },
      ],
    });
  });

  test('where no node answers the first refusal is the command’s', async () => {
    const error = { code: 'NODE_TIMEOUT', message: 'oslo did not answer in 5000 ms' };
    answers['GET /api/v1/nodes/oslo/streams'] = [504, { error }];
    await expect(x0('streams')).rejects.toMatchObject(error);
    await expect(x0('streams', 'oslo')).rejects.toMatchObject(error);
    expect(warned).toEqual([]);
  });

  test('a list that the node cut says how much it left off', async () => {
    const streams = [{ role: 'client', service: 'db', peer: 'rome' }];
    answers['GET /api/v1/nodes/oslo/streams'] = [200, { streams, truncated: true, total: 9_000 }];
    expect(await x0('streams', 'oslo')).toMatch(/\n\n1 of 9000 are shown$/);
    expect(JSON.parse(await x0('streams', 'oslo', '--json'))).toMatchObject({ truncated: true, total: 9_000 });
  });

  test('a path with and without backup', async () => {
    expect(await x0('path', 'oslo', 'lima')).toBe('primary  oslo > rome > lima  cost 3\nbackup   none');
    expect(JSON.parse(await x0('path', 'oslo', 'lima', '--json'))).toMatchObject({
      primary: { cost: 3 },
      backup: null,
    });
  });

  test('no path at all is a refusal, for a script an answer', async () => {
    answers['GET /api/v1/nodes/oslo/path?to=lima'] = [200, { primary: null, backup: null }];
    await expect(x0('path', 'oslo', 'lima')).rejects.toMatchObject({ code: 'NO_PATH' });
    expect(JSON.parse(await x0('path', 'oslo', 'lima', '--json'))).toEqual({ primary: null, backup: null });
  });

  test('a ping asks the first other node that is up, an end rather than a relay', async () => {
    await expect(x0('ping', 'rome')).rejects.toMatchObject({ code: 'NODE_DOWN', message: 'rome is down' });
    const [oslo, rome] = STATUS.nodes;
    const delhi = { name: 'delhi', state: 'up', relay: true };
    answers['GET /api/v1/status'] = [200, { nodes: [delhi, oslo, { ...rome, state: 'up' }] }];
    expect(await x0('ping', 'rome')).toBe('oslo > rome: 0.25 ms');
    answers['GET /api/v1/nodes/oslo/ping?to=rome'] = [200, { node: 'rome', rttMs: 0.25, path: ['oslo', 'rome'] }];
    const measured = { from: 'oslo', to: 'rome', rttMs: 0.25, path: ['oslo', 'rome'] };
    expect(JSON.parse(await x0('ping', 'rome', '--json'))).toEqual(measured);
    answers['GET /api/v1/status'] = [200, { nodes: [oslo] }];
    await expect(x0('ping', 'oslo')).rejects.toMatchObject({ code: 'NODE_DOWN' });
  });

  test('control characters of a hostile name do not reach the terminal', async () => {
    answers['GET /api/v1/services'] = [200, { services: [{ name: '\u001b[2Jx', nodes: ['\u202ey'] }] }];
    const table = await x0('services');
    expect([table.includes('\u001b'), table.includes('\u202e')]).toEqual([false, false]);
  });
});

describe('changing', () => {
  test('a token is printed alone, so that a script can use it', async () => {
    expect(await x0('token', 'create', '--node', 'paris', '--label', 'site=west', '--relay', '--ttl', '60')).toBe(
      'x0join.abc',
    );
    expect(asked[0]?.body).toEqual({ node: 'paris', relay: true, labels: { site: 'west' }, ttlSeconds: 60 });
    expect(warned).toEqual([]);
  });

  test('a token for a node that is up comes with a warning', async () => {
    expect(await x0('token', 'create', '--node', 'oslo')).toBe('x0join.abc');
    expect(warned).toEqual([expect.stringContaining('oslo is up already')]);
  });

  test('what a node could not be asked about is said to be stored only', async () => {
    answers['PUT /api/v1/nodes/oslo/forwards/db'] = [200, { unchecked: 'NODE_DOWN' }];
    expect(await x0('forward', 'db', '--listen', '127.0.0.1:15432', '--node', 'oslo')).toContain('oslo is down');
  });

  test.each([
    [
      ['expose', 'db', '--to', '127.0.0.1:5432', '--node', 'oslo'],
      'PUT /api/v1/services/db/instances/oslo',
      { host: '127.0.0.1', port: 5432, proxyProtocol: false },
    ],
    [
      ['expose', 'db', '--to', '[::1]:5432', '--node', 'oslo', '--proxy-protocol'],
      'PUT /api/v1/services/db/instances/oslo',
      { host: '::1', port: 5432, proxyProtocol: true },
    ],
    [['unexpose', 'db', '--node', 'oslo'], 'DELETE /api/v1/services/db/instances/oslo', undefined],
    [
      ['forward', 'db', '--listen', '127.0.0.1:15432', '--node', 'oslo'],
      'PUT /api/v1/nodes/oslo/forwards/db',
      { host: '127.0.0.1', port: 15_432 },
    ],
    [['unforward', 'db', '--node', 'oslo'], 'DELETE /api/v1/nodes/oslo/forwards/db', undefined],
    [['node', 'revoke', 'a/b'], 'POST /api/v1/nodes/a%2Fb/revoke', undefined],
  ])('%j asks %s', async (args, line, body) => {
    await x0(...args);
    expect(asked[0]).toEqual({ line, body });
    expect(asked.filter((each) => !each.line.startsWith('GET'))).toHaveLength(1);
  });

  test('a service that had another target at the node says so, and a target that is a forward is warned of', async () => {
    const replaced = { service: 'db', node: 'oslo', host: '127.0.0.1', port: 5431 };
    const loops = [{ node: 'rome', service: 'db', host: '127.0.0.1', port: 5432 }];
    answers['PUT /api/v1/services/db/instances/oslo'] = [200, { host: '127.0.0.1', port: 5432, replaced, loops }];
    expect(await x0('expose', 'db', '--to', '127.0.0.1:5432', '--node', 'oslo')).toBe(
      'db.mesh leads to 127.0.0.1:5432 on oslo, no longer to 127.0.0.1:5431',
    );
    expect(warned).toEqual([expect.stringMatching(/rome forwards db: if rome and oslo run on one host/)]);
    const same = { ...replaced, port: 5432 };
    answers['PUT /api/v1/services/db/instances/oslo'] = [200, { host: '127.0.0.1', port: 5432, replaced: same }];
    expect(await x0('expose', 'db', '--to', '127.0.0.1:5432', '--node', 'oslo')).not.toContain('no longer');
  });

  test('a revoked node comes back with the rights, neighbours and labels that it had', async () => {
    const delhi = { name: 'delhi', relay: true, links: ['oslo'], labels: { site: 'west' }, revoked: true };
    answers['GET /api/v1/nodes'] = [200, { nodes: [delhi] }];
    answers['GET /api/v1/status'] = [200, { nodes: [delhi] }];
    const again = './x0 token create --node delhi --relay --link oslo --label site=west';
    expect(await x0('node', 'revoke', 'delhi')).toBe(`delhi is revoked; ${again} admits it again`);
    expect(await x0('status')).toContain(`delhi is revoked; ${again} admits it again`);
  });

  test('a neighbour that no node is called is warned of', async () => {
    await x0('token', 'create', '--node', 'paris', '--link', 'oslo', '--link', 'olso');
    expect(warned).toEqual([expect.stringMatching(/no node is called olso yet/)]);
  });

  test('on a terminal a token comes with the line that joins by it, in a directory of its own', async () => {
    isTerminal = true;
    expect(await x0('token', 'create', '--node', 'paris')).toBe('x0join.abc');
    expect(warned).toEqual([`join with it: ./x0 node --join x0join.abc --data-dir ${join(folder, 'nodes', 'paris')}`]);
    const rome = { name: 'rome', state: 'down', addresses: ['192.0.2.7:7101'] };
    answers['GET /api/v1/nodes'] = [200, { nodes: [rome] }];
    await x0('token', 'create', '--node', 'rome', '--relay');
    await x0('token', 'create', '--node', 'delhi', '--relay');
    expect(warned[1]).toContain(' --relay --link 192.0.2.7:7101 --data-dir ');
    expect(warned[2]).toContain(' --relay --link HOST:PORT --data-dir ');
  });
});

describe('failing', () => {
  test('the control plane’s code and words are passed on', async () => {
    answers['GET /api/v1/nodes/lima/peers'] = [
      404,
      { error: { code: 'NODE_UNKNOWN', message: 'no node is called lima' } },
    ];
    await expect(x0('peers', 'lima')).rejects.toMatchObject({
      code: 'NODE_UNKNOWN',
      message: 'no node is called lima',
    });
  });

  test('a wrong token is refused', async () => {
    writeFileSync(join(folder, 'admin.token'), 'other');
    await expect(x0('status')).rejects.toMatchObject({ code: 'CREDENTIAL_WRONG' });
  });

  test('no control plane, none running, and something else that answers are told apart', async () => {
    await expect(x0('status', '--data-dir', join(folder, 'none'))).rejects.toMatchObject({ code: 'CONTROL_NOT_FOUND' });
    answers['GET /api/v1/status'] = [200, ['x']];
    await expect(x0('status')).rejects.toMatchObject({ code: 'CONTROL_ANSWER' });
    server.close();
    server.closeAllConnections();
    await expect(x0('status')).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
  });

  test.each([
    [['expose', 'db', '--to', 'nonsense', '--node', 'oslo'], 'USAGE'],
    [['expose', 'db', '--to', '127.0.0.1:0', '--node', 'oslo'], 'USAGE'],
    [['token', 'create', '--node', 'a', '--label', 'x'], 'USAGE'],
    [['token', 'create', '--node', 'a', '--ttl', '1.5'], 'USAGE'],
    [['token', 'create'], 'commander.missingMandatoryOptionValue'],
    [['drain', 'oslo', '--grace', 'soon'], 'USAGE'],
    [['drain'], 'commander.missingArgument'],
    [['nonsense'], 'commander.unknownCommand'],
    [['node', 'frob'], 'USAGE'],
    [['path', 'oslo'], 'commander.missingArgument'],
    [['status', '--bogus'], 'commander.unknownOption'],
  ])('%j is wrong usage', async (args, code) => {
    await expect(x0(...args)).rejects.toMatchObject({ code });
    expect(asked).toEqual([]);
  });
});
