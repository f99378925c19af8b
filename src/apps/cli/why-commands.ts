import type { Command } from 'commander';
import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { cellText, dateText, objectsOf, textOf } from './table.ts';

/** `x0 why DECISION`, `x0 why NODE SERVICE`. */
export function addWhyCommand(program: Command, context: Context): void {
  program
    .command('why <decision-or-node> [service]')
    .description('explain a decision by its id, or say whether a node could reach a service now')
    .option('--json', 'print JSON')
    .action(async (subject: string, service: string | undefined, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const path =
        service === undefined
          ? `/decisions/${segment(subject)}`
          : `/decisions?caller=${segment(subject)}&service=${segment(service)}`;
      const found = await clientOf(context, flags).ask('GET', path);
      printAs(context, flags, found, () => whyText(found));
    });
}

function whyText(found: JsonObject): string {
  const near = objectsOf(found, 'near').map((row) => {
    const actual = row['actual'] === null ? '' : `: ${textOf(row, 'attribute')} is ${textOf(row, 'actual')}`;
    return `  ${textOf(row, 'policy')} asks for ${textOf(row, 'failed')}${actual}`;
  });
  const errors = objectsOf(found, 'errors').map(
    (row) => `  ${textOf(row, 'policy')} failed: ${textOf(row, 'message')}`,
  );
  const { remedy, node } = found;
  const where = node === null || node === undefined ? '' : ` by ${cellText(node)}`;
  return [
    textOf(found, 'summary'),
    `decided ${dateText(found['decidedAt'])}${where} under snapshot ${cellText(found['snapshotVersion'])}`,
    ...near,
    ...errors,
    ...(typeof remedy === 'string' ? [`what would change it: ${remedy}`] : []),
  ].join('\n');
}
