// Compares forge's creation code in out/ with the committed artifacts: two builds, one result.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
let compared = 0;
for (const file of fs.readdirSync(path.join(root, 'artifacts'))) {
  const name = path.basename(file, '.json');
  const { bytecode } = JSON.parse(fs.readFileSync(path.join(root, 'artifacts', file), 'utf8'));
  if (bytecode === '0x') continue;
  const built = path.join(root, 'out', `${name}.sol`, `${name}.json`);
  if (JSON.parse(fs.readFileSync(built, 'utf8')).bytecode.object !== bytecode) {
    console.error(`${name}: forge and build.mjs disagree`);
    process.exitCode = 1;
  }
  compared += 1;
}
console.log(`artifacts equal to forge's: ${compared}`);
