import { codeOf } from '#kernel/code-of.ts';
import { CodedError } from '#control/coded-error.ts';
import { formatHostPort, type HostPort } from './host-port.ts';

/**
 * What a failed listen means: PORT_IN_USE, ADDRESS_NOT_HERE or PORT_NOT_ALLOWED with what to do, any other error as it
 * is. `choice` names what can be chosen instead, such as an option.
 */
export function listenFailure(error: unknown, at: HostPort, choice: string): Error {
  const where = formatHostPort(at);
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new CodedError(
        'PORT_IN_USE',
        `${where} is in use; stop what listens there (see \`ss -ltnp\`) or choose another ${choice}`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return new CodedError('ADDRESS_NOT_HERE', `${at.host} is no address of this machine; choose another ${choice}`);
    case 'EACCES':
      return new CodedError(
        'PORT_NOT_ALLOWED',
        `${where} needs rights that this user lacks; choose another ${choice}, with a port above 1023`,
      );
    default:
      return error instanceof Error ? error : new Error(String(error));
  }
}
