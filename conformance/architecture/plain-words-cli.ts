// `npm run words -- [PATH...]`: prints phrases to rewrite, lines over 120 columns and table cells that are too long.
import { findLongLines } from './markdown-lines.ts'
import { findDialect } from './plain-words.ts'
import { proseFiles } from './prose-files.ts'

const paths = process.argv.slice(2)
const faults = proseFiles(paths.length > 0 ? paths : undefined).flatMap((file) => [
  ...findDialect(file),
  ...(file.path.endsWith('.md') ? findLongLines(file) : []),
])
for (const fault of faults) process.stdout.write(`${fault}\n`)
if (faults.length > 0) process.exitCode = 1
