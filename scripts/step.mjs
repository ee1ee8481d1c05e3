// Shows what a script is doing: one line per step with its time, and the output of what failed.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))

const begun = Date.now()

/** A line that says what happens now. */
export function say(text) {
  const seconds = ((Date.now() - begun) / 1000).toFixed(0).padStart(4)
  process.stderr.write(`[${seconds} s] ${text}\n`)
}

/** Ends the script with a reason and a remedy. */
export function fail(text) {
  process.stderr.write(`\n${text}\n`)
  process.exit(1)
}

/**
 * Runs a command without standard input. `show`: its output goes through at once; otherwise it is kept and
 * returned. `timeoutMs`: it is killed after this time. Never rejects: `{ code, output }`.
 */
export function run(command, args, { show = false, env = {}, cwd = ROOT, timeoutMs = 900_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    const chunks = []
    child.stdout?.on('data', (chunk) => chunks.push(chunk))
    child.stderr?.on('data', (chunk) => chunks.push(chunk))
    child.on('error', (error) => resolve({ code: 127, output: error.message }))
    child.on('close', (code, signal) => {
      resolve({
        code: code ?? 128,
        output: Buffer.concat(chunks).toString('utf8') + (signal ? `\nended by ${signal}` : ''),
      })
    })
  })
}

/** Runs one step of a check: a line with its time, the output only when it failed. Returns whether it passed. */
export async function step(name, command, args, options = {}) {
  const startedAt = Date.now()
  if (options.show) say(name)
  const { code, output } = await run(command, args, options)
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
  say(`${code === 0 ? 'ok  ' : 'FAIL'}  ${name} (${seconds} s)`)
  if (code !== 0 && output !== '') process.stderr.write(`${output}\n`)
  return code === 0
}

/** Path of a tool in node_modules/.bin. */
export function tool(name) {
  return fileURLToPath(new URL(`../node_modules/.bin/${name}`, import.meta.url))
}
