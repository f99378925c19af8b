import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { type Column, dateText, formatTable, member, objectsOf, textOf } from './table.ts';

const COLUMNS: readonly Column[] = [
  member('NODE', 'node'),
  member('REQUEST', 'id'),
  member('ADDRESSES', 'addresses'),
  { title: 'ASKED', show: (row) => dateText(row['askedAt']) },
  { title: 'UNTIL', show: (row) => dateText(row['expiresAt']) },
  member('KEY SHA-256', 'keySha256'),
];

/** `x0 node requests`, `x0 node approve` and `x0 node deny`. */
export function addRequestCommands(node: Command, context: Context): void {
  node
    .command('requests')
    .description('list the nodes that wait to be let in')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const answer = await clientOf(context, flags).askAll('/join-requests', 'requests');
      printAs(context, flags, answer, () => formatTable(COLUMNS, objectsOf(answer, 'requests'), 'no node waits'));
    });
  for (const [word, about, done] of [
    ['approve', 'let a node in that waits; compare its key first', 'is let in'],
    ['deny', 'refuse a node that waits, for good', 'is denied'],
  ] as const)
    node
      .command(`${word} <name>`)
      .description(`${about} (by its name, or by its request)`)
      .action(async (name: string, _flags: unknown, command: Command) => {
        const flags = command.optsWithGlobals<CommonFlags>();
        const client = clientOf(context, flags);
        const waiting = objectsOf(await client.askAll('/join-requests', 'requests'), 'requests');
        const request = onlyOne(waiting, name);
        await client.ask('POST', `/join-requests/${segment(textOf(request, 'id'))}/${word}`);
        context.print(`${textOf(request, 'node')} ${done}`);
      });
}

function onlyOne(waiting: readonly JsonObject[], name: string): JsonObject {
  const found = waiting.filter((each) => each['node'] === name || each['id'] === name);
  const [only, another] = found;
  if (only === undefined) throw new CodedError('REQUEST_UNKNOWN', `no node ${name} waits to be let in`);
  if (another === undefined) return only;
  const ids = found.map((each) => textOf(each, 'id')).join(', ');
  throw new CodedError('USAGE', `several requests are for ${name}; name one: ${ids}`);
}
