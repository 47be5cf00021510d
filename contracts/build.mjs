// Compiles src/**/*.sol with the pinned solc into artifacts/<Name>.json {abi, bytecode}. No forge needed.
// Settings repeat foundry.toml, so that both produce the same creation code.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import solc from 'solc';

const root = path.dirname(fileURLToPath(import.meta.url));
const solidityFiles = (dir) =>
  fs
    .readdirSync(path.join(root, dir), { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? solidityFiles(`${dir}/${entry.name}`) : `${dir}/${entry.name}`))
    .filter((file) => file.endsWith('.sol'))
    .sort();

const settings = {
  evmVersion: 'cancun',
  viaIR: true,
  optimizer: { enabled: true, runs: 20000 },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  remappings: ['@openzeppelin/=node_modules/@openzeppelin/'],
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
};
const sources = Object.fromEntries(
  solidityFiles('src').map((file) => [file, { content: fs.readFileSync(path.join(root, file), 'utf8') }]),
);
const findImport = (name) => {
  const file = path.join(root, name);
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, 'utf8') } : { error: `not found: ${name}` };
};
const output = JSON.parse(
  solc.compile(JSON.stringify({ language: 'Solidity', sources, settings }), { import: findImport }),
);
const problems = output.errors ?? [];
for (const problem of problems) {
  const inDependency = problem.sourceLocation?.file.startsWith('node_modules/');
  if (problem.severity === 'error' || !inDependency) console.error(problem.formattedMessage);
}
if (problems.some((problem) => problem.severity === 'error')) process.exit(1);

const target = path.join(root, 'artifacts');
fs.rmSync(target, { recursive: true, force: true });
fs.mkdirSync(target);
for (const [file, contracts] of Object.entries(output.contracts)) {
  if (!file.startsWith('src/')) continue;
  for (const [name, contract] of Object.entries(contracts)) {
    const bytes = contract.evm.deployedBytecode.object.length / 2;
    if (!contract.abi.some((entry) => entry.type === 'function')) continue;
    if (bytes > 24576) {
      console.error(`${name}: ${bytes} bytes of code are over the limit of 24576`);
      process.exitCode = 1;
    }
    if (bytes > 0) console.log(`${name}: ${bytes} bytes`);
    const artifact = { abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` };
    fs.writeFileSync(path.join(target, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  }
}
