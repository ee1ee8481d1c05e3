// The inputs in the repository, and the files that findings are written to.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** One file of a corpus. */
export interface CorpusEntry {
  /** File name, which describes why the input is in the corpus. */
  readonly file: string
  readonly input: Buffer
}

/** Returns a target's entries, sorted by file name; none if the target has no folder. */
export function readCorpus(target: string): CorpusEntry[] {
  const folder = new URL(`corpus/${target}/`, import.meta.url)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .sort()
    .map((file) => ({ file, input: readInput(fileURLToPath(new URL(file, folder))) }))
}

/** Reads an input: a `.hex` file contains hex digits and white space, any other file the raw bytes. */
export function readInput(file: string): Buffer {
  const bytes = readFileSync(file)
  return file.endsWith('.hex') ? Buffer.from(bytes.toString('latin1').replaceAll(/\s+/g, ''), 'hex') : bytes
}

/** Writes a finding's input and, next to it, its description. Returns the path of the input. */
export function writeFinding(target: string, kind: string, text: string, input: Buffer): string {
  const folder = new URL('findings/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 12)
  const file = fileURLToPath(new URL(`${target}-${kind}-${digest}`, folder))
  writeFileSync(file, input)
  writeFileSync(
    `${file}.txt`,
    `${target}: ${kind}: ${text}\n\nnpm run fuzz -- --target ${target} --replay ${file}\n`,
  )
  return file
}
