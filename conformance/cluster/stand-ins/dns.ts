// Stands in for CoreDNS: resolves the names of Services for the pods.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { KubeApi, KubeObject } from '../kube-api.ts'
import { addNodeAddress } from '../node/network.ts'

/** Address of the DNS server. */
export const DNS_ADDRESS = '10.96.0.10'

const TYPE_A = 1
const NAME_ERROR = 3
const SUFFIX = '.svc.cluster.local'

/** Answers queries until the signal is aborted. */
export async function startDns(api: KubeApi, signal: AbortSignal): Promise<void> {
  const services = new Map<string, KubeObject>()
  const slices = new Map<string, KubeObject>()
  await api.watch('/api/v1/services', signal, keepIn(services))
  await api.watch('/apis/discovery.k8s.io/v1/endpointslices', signal, keepIn(slices))
  await addNodeAddress(DNS_ADDRESS)
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const reply = answer(query, (name) => resolveName(name, [...services.values()], [...slices.values()]))
    if (reply !== undefined) socket.send(reply, port, address)
  })
  socket.bind(53, DNS_ADDRESS)
  await once(socket, 'listening')
  signal.addEventListener('abort', () => socket.close())
}

function keepIn(map: Map<string, KubeObject>): (object: KubeObject, isDeleted: boolean) => void {
  return (object, isDeleted) => {
    if (isDeleted) map.delete(object.metadata.uid)
    else map.set(object.metadata.uid, object)
  }
}

/**
 * Returns the addresses of `service.namespace.svc.cluster.local` and `pod.service.…`; undefined for an unknown name.
 */
function resolveName(
  name: string,
  services: readonly KubeObject[],
  slices: readonly KubeObject[],
): string[] | undefined {
  if (!name.endsWith(SUFFIX)) return undefined
  const labels = name.slice(0, -SUFFIX.length).split('.')
  const [serviceName, namespace] = labels.slice(-2)
  const service = services.find(
    ({ metadata }) => metadata.name === serviceName && metadata.namespace === namespace,
  )
  if (service === undefined || labels.length > 3) return undefined
  if (service.spec.clusterIP !== 'None') return labels.length === 2 ? [service.spec.clusterIP] : undefined
  const endpoints = slices
    .filter(
      ({ metadata }) =>
        metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === serviceName,
    )
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(
      ({ conditions, hostname }: KubeObject) =>
        conditions?.ready !== false && (labels.length === 2 || hostname === labels[0]),
    )
  return labels.length === 3 && endpoints.length === 0
    ? undefined
    : endpoints.map(({ addresses }) => addresses[0])
}

/** Returns a DNS reply (RFC 1035) to a query with one question. */
function answer(query: Buffer, resolve: (name: string) => string[] | undefined): Buffer | undefined {
  if (query.length < 17 || query.readUInt16BE(4) !== 1) return undefined
  const labels: string[] = []
  let at = 12
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
    if (at >= query.length) return undefined
  }
  const type = query.readUInt16BE(at + 1)
  const question = query.subarray(12, at + 5)
  const found = resolve(labels.join('.').toLowerCase())
  const addresses = type === TYPE_A ? (found ?? []) : []
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  // Flags: response, authoritative, recursion desired and recursion available.
  header.writeUInt16BE(0x8580 | (found === undefined ? NAME_ERROR : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) => {
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 0, 0, 0, 0])
    Buffer.from(address.split('.').map(Number)).copy(record, 12)
    return record
  })
  return Buffer.concat([header, question, ...records])
}
