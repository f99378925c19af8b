import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import type { JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { cellText, dateText, objectsOf, textOf } from './table.ts';

/** `x0 why DECISION`, `x0 why NODE SERVICE`, `x0 why --file FILE`. */
export function addWhyCommand(program: Command, context: Context): void {
  program
    .command('why [decision-or-node] [service]')
    .description('explain a decision by its id, or say whether a node could reach a service now')
    .option('--file <file>', 'make the decision in a file again, which is what --json printed, without asking anybody')
    .option('--json', 'print JSON')
    .action(async (subject: string | undefined, service: string | undefined, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags & { readonly file?: string }>();
      if (flags.file !== undefined && subject === undefined) {
        // Loaded late: nobody else needs the evaluator here.
        const { replayDecisionFile } = await import('./replay-decision.ts');
        const replayed = { ...(await replayDecisionFile(flags.file)) };
        return printAs(context, flags, replayed, () => whyText(replayed));
      }
      if (subject === undefined || flags.file !== undefined)
        throw new CodedError('USAGE', 'name a decision, or a node and a service, or --file FILE');
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
