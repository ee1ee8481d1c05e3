// Reports the progress of a script: one line per step with its time, and the output of failed steps.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Root of the checkout, with a trailing slash. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))

const begun = Date.now()

/** Prints a progress line with the seconds since the start. */
export function say(text) {
  const seconds = ((Date.now() - begun) / 1000).toFixed(0).padStart(4)
  process.stderr.write(`[${seconds} s] ${text}\n`)
}

/** Exits with status 1 after printing the reason and the remedy. */
export function fail(text) {
  process.stderr.write(`\n${text}\n`)
  process.exit(1)
}

/**
 * Runs a command without standard input. With `show`, prints the output as it arrives; otherwise returns the output.
 * Kills the command after `timeoutMs`. Resolves to `{ code, output }`, and never rejects.
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

/** Runs one step and prints its result and time, with the output if it failed. Returns whether it passed. */
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
