// The node's network: a bridge, and a network namespace with its own address for each pod.
import { execFile, type ChildProcess } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { spawnTied } from '../../fixtures/processes.ts'

/** The node's address, which is the gateway of its pods. */
export const NODE_ADDRESS = '10.244.0.1'
const BRIDGE = 'pods0'
const PREFIX = '/16'
// Without a fixed hardware address, a bridge takes the lowest address of its ports. A new pod could then change the
// bridge's address, but other pods would still send to the old one.
const BRIDGE_HARDWARE_ADDRESS = '02:00:0a:f4:00:01'

let nextPod = 2

/** A pod's network namespace. An idle process keeps it open, like the pause container in Kubernetes. */
export interface PodNetwork {
  readonly address: string
  /** Path of the network namespace. */
  readonly namespace: string
  close(): void
}

/** Creates the bridge. @throws outside of a worker of own-network-pool.ts */
export async function setUpNodeNetwork(): Promise<void> {
  const links = await ip(['-o', 'link'])
  if (/\beth0\b|\bens\d|\benp\d/.test(links)) {
    throw new Error('The cluster must run in its own network namespace (own-network-pool.ts).')
  }
  await ipBatch([
    'link set lo up',
    `link add ${BRIDGE} address ${BRIDGE_HARDWARE_ADDRESS} type bridge`,
    `addr add ${NODE_ADDRESS}${PREFIX} dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
  ])
}

/** Adds an address to the node. Pods reach it through their gateway. */
export async function addNodeAddress(address: string): Promise<void> {
  await ip(['addr', 'replace', `${address}/32`, 'dev', 'lo'])
}

/** Removes the address. */
export async function removeNodeAddress(address: string): Promise<void> {
  await ip(['addr', 'del', `${address}/32`, 'dev', 'lo']).catch(() => {})
}

/** Creates a network namespace with the next free address. */
export async function createPodNetwork(): Promise<PodNetwork> {
  const number = nextPod++
  const address = `10.244.${number >> 8}.${number & 0xff}`
  const pause = spawnTied('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
  const namespace = `/proc/${pause.pid}/ns/net`
  await becomesOwn(namespace, pause)
  const link = `pod${number}`
  await ipBatch([
    `link add ${link} type veth peer name eth0 netns ${pause.pid}`,
    `link set ${link} master ${BRIDGE}`,
    `link set ${link} up`,
  ])
  const inside = ['link set lo up', `addr add ${address}${PREFIX} dev eth0`, 'link set eth0 up']
  await ipBatch([...inside, `route add default via ${NODE_ADDRESS}`], namespace)
  return { address, namespace, close: () => void pause.kill('SIGKILL') }
}

async function becomesOwn(namespace: string, pause: ChildProcess): Promise<void> {
  const own = readlinkSync('/proc/self/ns/net')
  while (pause.exitCode === null) {
    if (readlinkSync(namespace) !== own) return
    await delay(2)
  }
  throw new Error(`A network namespace could not be created (unshare --net ended with ${pause.exitCode}).`)
}

function ipBatch(lines: readonly string[], namespace?: string): Promise<string> {
  return ip(['-batch', '-'], lines.join('\n'), namespace)
}

function ip(args: readonly string[], input?: string, namespace?: string): Promise<string> {
  const inside = namespace === undefined ? [] : ['nsenter', `--net=${namespace}`]
  const [program, ...rest] = [...inside, 'ip', ...args]
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
    const child = execFile(program!, rest, { env }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`ip ${args.join(' ')}\n${input ?? ''}: ${stderr || error.message}`))
    })
    child.stdin!.end(input)
  })
}
