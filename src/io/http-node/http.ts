/**
 * Node's own HTTP. Importing `node:http` by name reads each of its exports, and some of these load a WebSocket client and what
 * that needs: 9 MiB in every process.
 */
export const { createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http');
