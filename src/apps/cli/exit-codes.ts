/** What the exit status of `x0` means; documented in docs/reference/cli.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unfit: 3, noControl: 4, bug: 70 } as const;

const BY_CODE: ReadonlyMap<string, number> = new Map([
  ['USAGE', EXIT.usage],
  ['NODE_TOO_OLD', EXIT.unfit],
  ['PORT_IN_USE', EXIT.unfit],
  ['PORT_NOT_ALLOWED', EXIT.unfit],
  ['ADDRESS_NOT_HERE', EXIT.unfit],
  ['DATA_TOO_NEW', EXIT.unfit],
  ['DATA_INCOMPLETE', EXIT.unfit],
  ['DATA_DAMAGED', EXIT.unfit],
  ['DISK_FULL', EXIT.unfit],
  ['FILE_NOT_PRIVATE', EXIT.unfit],
  ['TRUST_DOMAIN_DIFFERS', EXIT.unfit],
  ['DATA_DIR_IN_USE', EXIT.unfit],
  ['DATA_DIR_UNUSABLE', EXIT.unfit],
  ['CONTROL_NOT_FOUND', EXIT.noControl],
  ['CONTROL_UNREACHABLE', EXIT.noControl],
  ['CONTROL_ANSWER', EXIT.noControl],
]);

/** The exit status for a failure with this code. */
export function exitStatusOf(code: string): number {
  return BY_CODE.get(code) ?? EXIT.failed;
}

/** What to do next about a code, if one command helps; `x0` stands for the command here. */
export function nextStep(code: string): string | undefined {
  return NEXT_STEPS.get(code);
}

const NEXT_STEPS: ReadonlyMap<string, string> = new Map([
  ['CONTROL_NOT_FOUND', 'start one with `x0 up` or `x0 control`, or name its directory with --data-dir'],
  ['CONTROL_UNREACHABLE', 'start it with `x0 up` or `x0 control`'],
  ['NODE_UNKNOWN', 'x0 node list'],
  ['NODE_DOWN', 'x0 status'],
  ['NODE_TIMEOUT', 'x0 status'],
  ['SERVICE_UNKNOWN', 'x0 services'],
  ['FORWARD_EXISTS', 'x0 unforward SERVICE --node NAME first'],
  ['FORWARD_UNKNOWN', 'x0 services lists the forwards that exist'],
  ['FORWARD_ADDRESS_TAKEN', 'choose another port, or x0 unforward the other service first (x0 services)'],
  ['NODE_REVOKED', 'admit it again with `x0 token create --node NAME`'],
  ['TOKEN_GARBLED', 'copy the whole line that `x0 token create` printed'],
  ['TOKEN_UNKNOWN', 'x0 token create --node NAME'],
  ['TTL_INVALID', 'choose --ttl SECONDS in that range'],
  ['TOKEN_USED', 'x0 token create --node NAME'],
  ['TOKEN_EXPIRED', 'x0 token create --node NAME'],
  ['DISK_FULL', 'make room on that disk and try again'],
  ['JOIN_NEEDED', 'x0 token create --node NAME, then x0 node --join TOKEN'],
]);
