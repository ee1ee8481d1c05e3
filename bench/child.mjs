// Starts child processes, and stops them when the benchmark exits for any reason.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { BUILD, ROOT } from './paths.mjs'

const STOP_MS = 10_000
const running = new Set()

/**
 * Starts a program in the checkout; its output goes to `.build/log/{name}.log`.
 * @param {{ hasChannel?: boolean }} [options] if `hasChannel`, the returned `child` and the child's own `process` can
 *   exchange messages
 * @returns {{ child: import('node:child_process').ChildProcess, pid: number, exited: Promise<string>, stop: () =>
 *   Promise<void>, logTail: () => string }} `exited` resolves to the reason for the child's exit, and never rejects.
 */
export function start(name, command, args, { hasChannel = false } = {}) {
  mkdirSync(join(BUILD, 'log'), { recursive: true })
  const logFile = join(BUILD, 'log', `${name}.log`)
  const log = openSync(logFile, 'w')
  const stdio = ['ignore', log, log, ...(hasChannel ? ['ipc'] : [])]
  const child = spawn(command, args, { cwd: ROOT, env: environment(), stdio })
  closeSync(log)
  running.add(child)
  const exited = new Promise((resolve) => {
    child.on('error', (error) => resolve(`could not be started: ${error.message}`))
    child.on('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `ended by ${signal}`))
  }).finally(() => running.delete(child))
  return {
    child,
    pid: child.pid,
    exited,
    stop: () => stop(child, exited, name),
    logTail: () => readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n'),
  }
}

/** Runs a program to completion. Rejects if it fails. @returns {Promise<string>} its standard output */
export function output(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    const text = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (chunk) => (text[stream] += chunk))
    }
    child.on('error', (error) => {
      running.delete(child)
      reject(new Error(`"${command}" could not be started: ${error.message}`, { cause: error }))
    })
    child.on('close', (code) => {
      running.delete(child)
      if (code === 0) return resolve(text.stdout)
      const line = [basename(command), ...args].join(' ')
      reject(new Error(`"${line}" ended with code ${code}:\n${text.stderr || text.stdout}`))
    })
  })
}

/** Stops the child processes after Ctrl-C, SIGTERM, a closed terminal or an error. */
export function endChildrenWithMe() {
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    process.once(signal, () => process.exit(code))
  }
  process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL')
  })
}

// The shell's environment variables must not affect the measurements.
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('INFERWIRE_')))
}

async function stop(child, exited, name) {
  child.kill('SIGTERM')
  const timer = setTimeout(() => {
    process.stderr.write(`${name} did not stop within ${STOP_MS} ms of SIGTERM and was killed\n`)
    child.kill('SIGKILL')
  }, STOP_MS)
  await exited
  clearTimeout(timer)
}
