// Starts Mosquitto and the cheapest possible model servers on free loopback ports.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { start } from './child.mjs'
import { BUILD } from './paths.mjs'
import { find } from './prepare.mjs'

const UP_MS = 10_000

/**
 * Starts a model server with a model "iris" that supports only V1. It answers every request with the same prediction,
 * and each call costs one HTTP round trip. The server can answer before it has received the whole request body.
 * @returns {Promise<{ port: number, pid: number, stop: () => Promise<void> }>}
 */
export async function startModel() {
  const port = await freePort()
  const folder = join(BUILD, 'nginx')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'nginx.conf'), nginxConfig(port))
  const args = ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')]
  const server = start('nginx', find('nginx'), args)
  await untilUp('nginx', port, server)
  return { port, pid: server.pid, stop: server.stop }
}

/**
 * Starts the model server in c/model.c, with a model "iris" that supports only V1. It costs as little as nginx, but
 * answers a merged call with one prediction per instance.
 * @returns {Promise<{ port: number, pid: number, calls: () => Promise<number>, stop: () => Promise<void> }>} `calls`
 *   returns the number of calls so far
 */
export async function startCountingModel() {
  const port = await freePort()
  const server = start('model', join(BUILD, 'model'), [String(port)])
  await untilUp('model', port, server)
  const calls = async () => Number(await (await fetch(`http://127.0.0.1:${port}/calls`)).text())
  return { port, pid: server.pid, calls, stop: server.stop }
}

/**
 * Starts a broker with no stored state. Every run starts a new broker, so that it cannot resume the session of an
 * earlier run.
 * @param {Record<string, number>} [settings] lines of mosquitto.conf that replace the benchmark's defaults
 */
export async function startBroker(settings = {}) {
  const port = await freePort()
  const file = join(BUILD, 'mosquitto.conf')
  writeFileSync(file, mosquittoConfig(port, settings))
  const server = start('mosquitto', find('mosquitto'), ['-c', file])
  await untilUp('mosquitto', port, server)
  return { port, pid: server.pid, stop: server.stop }
}

/** Returns a port that is currently free. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function nginxConfig(port) {
  // Only root can write to nginx's default folders for temporary files, so every folder is set, even for unused
  // modules.
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  // nginx runs as a single process, because a worker process would survive if its master were killed.
  return `daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_buffer_size 1m;
  client_max_body_size 20m;
${temporary.map((name) => `  ${name}_temp_path temp_${name};`).join('\n')}
  default_type application/json;
  server {
    listen 127.0.0.1:${port} reuseport;
    location / { return 200 '{"predictions":[1]}'; }
    location = /v1/models/iris { return 200 '{"name":"iris","ready":true}'; }
    location /v2 { return 404; }
  }
}
`
}

function mosquittoConfig(port, settings) {
  const limits = { max_inflight_messages: 1024, max_queued_messages: 100_000, ...settings }
  return `listener ${port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
${Object.entries(limits)
  .map(([name, value]) => `${name} ${value}\n`)
  .join('')}log_dest stderr
log_type error
log_type warning
`
}

async function untilUp(name, port, server) {
  const ended = server.exited.then((how) => {
    throw new Error(`${name} on port ${port}: ${how}\n${server.logTail()}`)
  })
  ended.catch(() => {}) // Prevents an unhandled rejection when the server is stopped deliberately later.
  for (const deadline = Date.now() + UP_MS; Date.now() < deadline;) {
    if (await Promise.race([accepts(port), ended])) return
    await Promise.race([delay(5), ended])
  }
  await server.stop()
  throw new Error(`${name} did not listen on port ${port} within ${UP_MS} ms\n${server.logTail()}`)
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
