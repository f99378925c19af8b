import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import { plainText } from '#kernel/plain-text.ts';
import { codeOf } from '#kernel/code-of.ts';
import { CodedError } from '#control/coded-error.ts';
import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { collect } from './node-commands.ts';
import { cellText, dateText, formatTable, member, objectsOf, textOf } from './table.ts';

interface PolicyFlags extends CommonFlags {
  readonly name?: string;
  readonly disabled?: boolean;
  readonly expect?: readonly string[];
  readonly version?: string;
  readonly delete?: boolean;
}

const COLUMNS = [
  member('POLICY', 'name'),
  member('VERSION', 'version'),
  { title: 'IN FORCE', show: (row: JsonObject) => (row['enabled'] === true ? 'yes' : 'no') },
  { title: 'CHANGED', show: (row: JsonObject) => dateText(row['changedAt']) },
  member('BY', 'changedBy'),
];

/** `x0 policy …`: what nodes may reach, as Cedar. */
export function addPolicyCommands(program: Command, context: Context): void {
  const policy = program.command('policy').description('who may reach what: policies in Cedar');
  addReading(policy, context);
  addChanging(policy, context);
  addTrying(policy, context);
}

function addReading(policy: Command, context: Context): void {
  policy
    .command('list')
    .description('list the policies')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const policies = await clientOf(context, flags).askAll('/policies', 'policies');
      const none = 'there is no policy: nobody may reach anything';
      printAs(context, flags, policies, () => formatTable(COLUMNS, objectsOf(policies, 'policies'), none));
    });
  policy
    .command('show <name>')
    .description('print the text of a policy')
    .option('--json', 'print JSON')
    .action(async (name: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const found = await clientOf(context, flags).ask('GET', `/policies/${segment(name)}`);
      printAs(context, flags, found, () => plainLines(found['text']));
    });
  policy
    .command('versions <name>')
    .description('list the versions of a policy, newest first')
    .option('--json', 'print JSON')
    .action(async (name: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const answer = await clientOf(context, flags).ask('GET', `/policies/${segment(name)}/versions`);
      const columns = [
        ...COLUMNS.slice(1),
        { title: 'DELETED', show: (row: JsonObject) => (row['deleted'] === true ? 'yes' : '') },
      ];
      printAs(context, flags, answer, () => formatTable(columns, objectsOf(answer, 'versions'), 'none'));
    });
}

function addChanging(policy: Command, context: Context): void {
  policy
    .command('put <file>')
    .description('put the policy of a file into force; its name is the file’s')
    .option('--name <name>', 'name of the policy')
    .option('--disabled', 'keep it without putting it into force')
    .option('--json', 'print JSON')
    .action(async (file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const name = nameOf(file, flags);
      const body = { text: await readPolicy(file), enabled: flags.disabled !== true };
      const stored = await clientOf(context, flags).ask('PUT', `/policies/${segment(name)}`, body);
      const state = body.enabled ? 'is in force' : 'is kept, and not in force';
      printAs(context, flags, stored, () => `version ${cellText(stored['version'])} of ${name} ${state}`);
    });
  policy
    .command('delete <name>')
    .description('take a policy out of force; its versions stay')
    .action(async (name: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      await clientOf(context, flags).ask('DELETE', `/policies/${segment(name)}`);
      context.print(`${name} is not in force any more`);
    });
  policy
    .command('rollback <name> <version>')
    .description('make an earlier version the next one')
    .option('--json', 'print JSON')
    .action(async (name: string, version: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const wanted = Number(version);
      if (!Number.isSafeInteger(wanted) || wanted < 1) throw new CodedError('USAGE', `${version} is no version`);
      const path = `/policies/${segment(name)}/rollback`;
      const stored = await clientOf(context, flags).ask('POST', path, { version: wanted });
      const now = cellText(stored['version']);
      printAs(context, flags, stored, () => `version ${now} of ${name} says what version ${version} said`);
    });
}

function addTrying(policy: Command, context: Context): void {
  policy
    .command('test <file>')
    .description('check a policy, and what would be allowed with it; nothing is changed')
    .option('--name <name>', 'the policy that it would replace')
    .option('--expect <question>', '"NODE SERVICE allow" or "NODE SERVICE deny" (repeatable)', collect)
    .option('--json', 'print JSON')
    .action(async (file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const expectations = (flags.expect ?? []).map((each) => parseExpectation(each));
      const body = { name: nameOf(file, flags), text: await readPolicy(file), expectations };
      const answer = await clientOf(context, flags).ask('POST', '/policy-tests', body);
      printAs(context, flags, answer, () => testText(answer));
      if (answer['passed'] !== true) throw new CodedError('POLICY_TEST_FAILED', 'not everything is as expected');
    });
  policy
    .command('dry-run <file>')
    .description('say which live streams a policy would close; nothing is changed')
    .option('--name <name>', 'the policy that it would replace')
    .option('--delete', 'FILE is the name of a policy: what if it were gone')
    .option('--json', 'print JSON')
    .action(async (file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PolicyFlags>();
      const isGone = flags.delete === true;
      const body = { name: isGone ? file : nameOf(file, flags), text: isGone ? null : await readPolicy(file) };
      const answer = await clientOf(context, flags).ask('POST', '/policy-dry-runs', body);
      printAs(context, flags, answer, () => dryRunText(answer));
    });
}

/** As it was written, but for what a terminal would obey. */
function plainLines(text: unknown): string {
  const lines = typeof text === 'string' ? text.trimEnd().split('\n') : [];
  return lines.map((line) => plainText(line)).join('\n');
}

function testText(answer: JsonObject): string {
  const results = objectsOf(answer, 'results');
  const columns = [
    { title: 'AS EXPECTED', show: (row: JsonObject) => (row['allowed'] === row['expected'] ? 'yes' : 'NO') },
    member('NODE', 'principal'),
    member('SERVICE', 'resource'),
    { title: 'DECISION', show: (row: JsonObject) => (row['allowed'] === true ? 'allow' : 'deny') },
    { title: 'WHY', show: (row: JsonObject) => textOf(row, 'summary') },
  ];
  const valid = `the policy is valid: ${cellText(answer['statements'])} statements`;
  return results.length === 0 ? valid : `${valid}\n${formatTable(columns, results, '')}`;
}

function dryRunText(answer: JsonObject): string {
  const closes = objectsOf(answer, 'closes');
  const unanswered = objectsOf(answer, 'unanswered');
  const columns = [member('NODE', 'caller'), member('SERVICE', 'service'), member('ENDS AT', 'node')];
  const table = formatTable(columns, closes, 'no live stream would be closed');
  const head =
    closes.length === 0 ? '' : `${closes.length} of ${cellText(answer['streams'])} live streams would be closed\n`;
  const missing = unanswered.map((row) => `${textOf(row, 'node')} (${textOf(row, 'code')})`).join(', ');
  return `${head}${table}${missing === '' ? '' : `\nnot asked, because they did not answer: ${missing}`}`;
}

function nameOf(file: string, { name }: PolicyFlags): string {
  return name ?? basename(file, extname(file));
}

async function readPolicy(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CodedError('USAGE', `${file} cannot be read: ${codeOf(error) ?? 'unknown'}`);
  }
}

function parseExpectation(text: string): { caller: string; service: string; allowed: boolean } {
  const [caller, service, word, ...rest] = text.trim().split(/\s+/);
  const isWord = word === 'allow' || word === 'deny';
  if (caller === undefined || service === undefined || !isWord || rest.length > 0)
    throw new CodedError('USAGE', `--expect ${text}: write "NODE SERVICE allow" or "NODE SERVICE deny"`);
  return { caller, service, allowed: word === 'allow' };
}
