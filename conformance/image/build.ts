// Does what the steps of a Dockerfile do, in folders in place of layers: COPY, WORKDIR and RUN, one after the other.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Stage } from './dockerfile.ts'

/** What a build needs. */
export interface BuildOptions {
  /** The folder that `docker build` would get. */
  readonly context: string
  /** One folder below it for each stage. */
  readonly folder: string
  /** Its `bin` comes first in the PATH of RUN: what the base image brings. */
  readonly programs: string
}

/**
 * The folder of a stage's `/`. `skipsRun`: the stage's RUN steps change the base image, which is not here.
 * @throws Error with what a step said
 */
export async function buildStage(stage: Stage, options: BuildOptions, skipsRun = false): Promise<string> {
  const root = join(options.folder, stage.name || 'image')
  let workdir = root
  for (const { name, text } of stage.instructions) {
    if (name === 'WORKDIR') {
      workdir = join(root, text)
      mkdirSync(workdir, { recursive: true })
    } else if (name === 'COPY') {
      copy(text, workdir, options)
    } else if (name === 'RUN' && !skipsRun) {
      await runStep(text, workdir, options.programs)
    }
  }
  return root
}

function copy(text: string, workdir: string, { context, folder }: BuildOptions): void {
  const words = text.split(/\s+/)
  const from = /^--from=(\w+)$/.exec(words[0]!)?.[1]
  const names = from === undefined ? words : words.slice(1)
  const target = join(workdir, names.at(-1)!)
  const isFolder = names.at(-1)!.endsWith('/')
  for (const name of names.slice(0, -1)) {
    const source = join(from === undefined ? context : join(folder, from), name)
    // Of a folder COPY takes what is in it.
    const isOneFile = statSync(source).isFile()
    cpSync(source, isOneFile && isFolder ? join(target, basename(name)) : target, {
      recursive: true,
      verbatimSymlinks: true,
    })
  }
}

const STEP_TIMEOUT_MS = 240_000

async function runStep(line: string, cwd: string, programs: string): Promise<void> {
  const child = spawn('sh', ['-c', line], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    env: {
      // A container does not know our variables, NODE_OPTIONS and npm's own among them.
      ...Object.fromEntries(['HOME', 'TMPDIR', 'XDG_CACHE_HOME'].map((name) => [name, process.env[name]])),
      ...Object.fromEntries(
        Object.entries(process.env).filter(([name]) =>
          /^(?:npm_config_(?:registry|cache|userconfig)|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(
            name,
          ),
        ),
      ),
      PATH: `${programs}:${process.env['PATH'] ?? ''}`,
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')))
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code !== 0) throw new Error(`RUN ${line} ended with ${signal ?? String(code)}:\n${output}`)
}

/** Copies what .dockerignore lets through: comments, names, `*`, `!name`, `**` with a name or `*.ending`. */
export function copyContext(root: string, target: string): void {
  const rules = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const isKept = (path: string): boolean => {
    let kept = true
    for (const rule of rules) {
      const name = rule.replace('!', '')
      if (matches(name, path)) kept = rule.startsWith('!')
    }
    return kept
  }
  // A folder is entered where something below it may be let through.
  const mayHoldKept = (path: string): boolean =>
    isKept(path) || rules.some((rule) => rule.startsWith(`!${path}/`))
  const walk = (path: string): void => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory() && mayHoldKept(child)) walk(child)
      if (entry.isFile() && isKept(child)) cpSync(join(root, child), join(target, child))
    }
  }
  walk('')
  if (!existsSync(join(target, 'package.json'))) throw new Error('.dockerignore lets nothing through')
}

// A rule also holds for what is below.
function matches(rule: string, path: string): boolean {
  if (rule === '*') return true
  if (!rule.startsWith('**/')) return path === rule || path.startsWith(`${rule}/`)
  const name = rule.slice(3)
  return path
    .split('/')
    .some((level) => (name.startsWith('*') ? level.endsWith(name.slice(1)) : level === name))
}
