import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBySocks, openEcho, readExactly, socksReply, type TcpBackend } from '../harness/tcp.ts';
import { portOf, until, UpMesh } from '../harness/up.ts';
import { CLONE, X0Process } from '../harness/x0-process.ts';

const NOT_ALLOWED = 2;
let mesh: UpMesh;
let echo: TcpBackend;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'x0-policy-'));
  mesh = await UpMesh.start();
  echo = await openEcho();
  await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
});
afterAll(async () => {
  await mesh.stop();
  await echo.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Refused {
  readonly status: number;
  readonly decision: string;
  readonly body: { readonly error: { readonly code: string; readonly details: { readonly decision: string } } };
}

async function askHttp(node: string, service: string): Promise<Refused> {
  const port = portOf((await mesh.node(node)).listen.http);
  const asked = request({ host: '127.0.0.1', port, path: `http://${service}.mesh/`, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const content = await text(response);
  const decision = response.headers['x0-decision'];
  return {
    status: response.statusCode ?? 0,
    decision: typeof decision === 'string' ? decision : '',
    body: JSON.parse(content) as Refused['body'],
  };
}

async function openEchoStream(node: string, service = 'echo'): Promise<Socket> {
  const socket = await openBySocks(await mesh.socks(node), service);
  socket.on('error', () => undefined);
  socket.write('hello');
  expect((await readExactly(socket, 5)).toString()).toBe('hello');
  return socket;
}

async function putPolicy(name: string, content: string): Promise<string> {
  const file = join(folder, `${name}.cedar`);
  writeFileSync(file, content);
  return await mesh.x0('policy', 'put', file);
}

async function replyIs(node: string, reply: number, host = 'echo.mesh'): Promise<void> {
  const port = await mesh.socks(node);
  await until(
    async () => socksReply(port, host),
    (value) => value === reply,
    10_000,
  );
}

describe('the policies of a mesh', () => {
  test('begin with a visible one for all members', async () => {
    expect(await mesh.x0('policy', 'list')).toMatch(/local-allow-members\s+1\s+yes/);
    const could = (await mesh.json('why', 'oslo', 'echo')) as { allowed: boolean; policies: string[] };
    expect(could).toMatchObject({ allowed: true, policies: ['local-allow-members'] });
    expect(await mesh.x0('policy', 'show', 'local-allow-members')).toContain(
      'permit(principal in X0::Group::"members"',
    );
  });

  test('close a live stream at both ends when they change, and refuse what comes after', async () => {
    const [far, own] = [await openEchoStream('oslo'), await openEchoStream('lima')];
    const dryRun = (await mesh.json('policy', 'dry-run', 'local-allow-members', '--delete')) as {
      closes: readonly { caller: string; service: string; node: string }[];
      unanswered: readonly unknown[];
    };
    expect(dryRun.closes.toSorted((a, b) => (a.caller < b.caller ? -1 : 1))).toEqual([
      { caller: 'lima', service: 'echo', node: 'lima' },
      { caller: 'oslo', service: 'echo', node: 'lima' },
    ]);
    expect(dryRun.unanswered).toEqual([]);
    const closed = Promise.all(
      [far, own].map(async (socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    await mesh.x0('policy', 'delete', 'local-allow-members');
    await closed;
    await replyIs('oslo', NOT_ALLOWED);
    await replyIs('lima', NOT_ALLOWED);
    expect(await mesh.streams()).toEqual([]);
  });

  test('deny with the id of a decision, which is explained with what would have to change', async () => {
    const refused = await askHttp('oslo', 'echo');
    expect(refused.status).toBe(403);
    expect(refused.decision).toMatch(/^[0-9a-f]{32}$/);
    expect(refused.body.error).toMatchObject({ code: 'POLICY_DENIED', details: { decision: refused.decision } });
    const why = await mesh.x0('why', refused.decision);
    expect(why).toContain('oslo connect echo is denied: no policy allows it');
    expect(why).toContain('x0 expose echo --allow GROUP');
    const file = join(folder, 'decision.json');
    writeFileSync(file, await mesh.x0('why', refused.decision, '--json'));
    expect(await mesh.x0('why', '--file', file)).toContain('oslo connect echo is denied: no policy allows it');
    const unknown = await mesh.tryX0('why', '0'.repeat(32));
    expect([unknown.status, unknown.stderr]).toEqual([1, expect.stringContaining('DECISION_UNKNOWN')]);
  });

  test('allow a group at once, and not those who are not in it', async () => {
    await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima', '--allow', 'env=prod');
    await replyIs('oslo', NOT_ALLOWED);
    const why = (await mesh.json('why', 'oslo', 'echo')) as { remedy: string };
    expect(why.remedy).toBe('give oslo the label env=prod that expose-echo-env-prod asks for, or change the policy.');
    await mesh.x0('expose', 'echo', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima', '--allow', 'members');
    await replyIs('oslo', 0);
    await replyIs('lima', 0);
  });

  test('that forbid win over all that permit, and can be rolled back', async () => {
    await putPolicy('keep-out', 'permit(principal == X0::Node::"rome", action, resource == X0::Service::"echo");');
    const forbid = 'forbid(principal == X0::Node::"oslo", action, resource == X0::Service::"echo");';
    expect(await putPolicy('keep-out', forbid)).toContain('version 2 of keep-out is in force');
    await replyIs('oslo', NOT_ALLOWED);
    await replyIs('lima', 0);
    expect(await mesh.x0('why', 'oslo', 'echo')).toContain('forbidden by keep-out');
    await mesh.x0('policy', 'rollback', 'keep-out', '1');
    await replyIs('oslo', 0);
    expect(await mesh.x0('policy', 'versions', 'keep-out')).toMatch(/3\s+yes[\s\S]*2\s+yes[\s\S]*1\s+yes/);
    await mesh.x0('policy', 'delete', 'keep-out');
  });

  test('let a node reach what its label was allowed, and not one without the label', async () => {
    const token = (await mesh.x0('token', 'create', '--node', 'bergen', '--label', 'team=ops')).trim();
    await mesh.x0('expose', 'pager', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima', '--allow', 'team=ops');
    const listeners = ['--socks', '127.0.0.1:0', '--http', 'off', '--admin', 'off', '--link', 'off'];
    const bergen = new X0Process(CLONE, ['node', '--data-dir', join(folder, 'bergen'), '--join', token, ...listeners]);
    try {
      await until(
        async () => (await mesh.status()).nodes.find(({ name }) => name === 'bergen')?.listen.socks ?? null,
        (socks) => socks !== null,
        30_000,
      );
      await replyIs('bergen', 0, 'pager.mesh');
      expect(await socksReply(await mesh.socks('oslo'), 'pager.mesh')).toBe(NOT_ALLOWED);
      expect(((await mesh.json('why', 'oslo', 'pager')) as { remedy: string }).remedy).toContain('the label team=ops');
      await mesh.x0('node', 'revoke', 'bergen');
    } finally {
      await bergen.end('SIGTERM');
      await mesh.x0('unexpose', 'pager', '--node', 'lima');
    }
  }, 90_000);

  test('that ask for the time end a live stream with the minute', async () => {
    const now = new Date();
    // A minute that is nearly over is not waited for with half-open streams.
    const last = now.getUTCHours() * 60 + now.getUTCMinutes() + (now.getUTCSeconds() > 45 ? 1 : 0);
    await mesh.x0('expose', 'clock', '--to', `127.0.0.1:${echo.port}`, '--node', 'lima');
    const head = 'permit(principal, action, resource == X0::Service::"clock")';
    await putPolicy('until', `${head} when { context.minuteOfDay <= ${last} };`);
    await replyIs('oslo', 0, 'clock.mesh');
    const socket = await openEchoStream('oslo', 'clock');
    await new Promise((resolve) => socket.once('close', resolve));
    const closed = new Date();
    const minuteMs = 60_000;
    const overMs = (closed.getTime() % 86_400_000) - ((last + 1) % 1_440) * minuteMs;
    expect([overMs >= 0, overMs < 2_000]).toEqual([true, true]);
    await mesh.x0('unexpose', 'clock', '--node', 'lima');
    await mesh.x0('policy', 'delete', 'until');
  }, 120_000);

  test('are tested without being put into force', async () => {
    const file = join(folder, 'nobody.cedar');
    writeFileSync(file, 'forbid(principal, action, resource);');
    const passed = await mesh.x0('policy', 'test', file, '--expect', 'oslo echo deny');
    expect(passed).toContain('the policy is valid: 1 statements');
    const failed = await mesh.tryX0('policy', 'test', file, '--expect', 'oslo echo allow');
    expect([failed.status, failed.stderr]).toEqual([1, expect.stringContaining('POLICY_TEST_FAILED')]);
    writeFileSync(file, 'permit(principal,\n action, resource) when { principal.colour == 1 };');
    const wrong = await mesh.tryX0('policy', 'test', file);
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('POLICY_SCHEMA: line 2, column 27')]);
    await replyIs('oslo', 0);
  });

  test('that x0 expose wrote go when the service does', async () => {
    expect(await mesh.x0('unexpose', 'echo', '--node', 'lima')).toContain('expose-echo-members is deleted');
    expect(await mesh.x0('policy', 'list')).toContain('nobody may reach anything');
  });
});
