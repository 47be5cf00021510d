#!/usr/bin/env node
// Lets forge use the pinned solc of package.json: answers --version and --standard-json like the native compiler.
const fs = require('fs');
const solc = require('solc');

const args = process.argv.slice(2);
if (args.includes('--version')) {
  const version = solc.version().replace('Emscripten.clang', 'Linux.g++');
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else if (args.includes('--standard-json')) {
  const file = args.filter((arg) => !arg.startsWith('-')).pop();
  const isFile = file !== undefined && fs.existsSync(file) && fs.statSync(file).isFile();
  process.stdout.write(solc.compile(fs.readFileSync(isFile ? file : 0, 'utf8')));
} else {
  process.stderr.write(`unsupported arguments: ${args.join(' ')}\n`);
  process.exitCode = 1;
}
