// Stands in for kube-proxy and a load balancer: forwards TCP from the addresses of Services to ready pods.
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { KubeApi, KubeObject } from '../kube-api.ts'
import { addNodeAddress, removeNodeAddress } from '../node/network.ts'

/** Address of Services of type LoadBalancer, in addition to 127.0.0.1. It is in a range reserved for documentation. */
export const EXTERNAL_ADDRESS = '192.0.2.1'

interface Target {
  readonly address: string
  readonly port: number
}

/** Watches Services and EndpointSlices until the signal is aborted. */
export async function startServiceProxy(api: KubeApi, signal: AbortSignal): Promise<void> {
  const proxy = new ServiceProxy(api)
  await addNodeAddress(EXTERNAL_ADDRESS)
  signal.addEventListener('abort', () => proxy.close())
  await api.watch('/apis/discovery.k8s.io/v1/endpointslices', signal, (slice, isDeleted) =>
    proxy.takeSlice(slice, isDeleted),
  )
  await api.watch(
    '/api/v1/services',
    signal,
    (service, isDeleted) => void proxy.takeService(service, isDeleted),
  )
}

class ServiceProxy {
  readonly #api: KubeApi
  readonly #slices = new Map<string, KubeObject>()
  readonly #listeners = new Map<string, Server>()
  readonly #sockets = new Set<Socket>()
  #turn = 0

  constructor(api: KubeApi) {
    this.#api = api
  }

  takeSlice(slice: KubeObject, isDeleted: boolean): void {
    if (isDeleted) this.#slices.delete(slice.metadata.uid)
    else this.#slices.set(slice.metadata.uid, slice)
  }

  async takeService(service: KubeObject, isDeleted: boolean): Promise<void> {
    const { clusterIP, type, ports = [] } = service.spec
    const wanted = new Map<string, () => Target[]>()
    if (!isDeleted && clusterIP !== undefined && clusterIP !== 'None') {
      await addNodeAddress(clusterIP)
      const addresses = [clusterIP, ...(type === 'LoadBalancer' ? [EXTERNAL_ADDRESS, '127.0.0.1'] : [])]
      for (const { name, port, protocol } of ports) {
        if (protocol !== 'TCP') continue
        for (const address of addresses) {
          wanted.set(`${address}:${port}`, () => this.#targets(service, name))
        }
      }
    }
    const { uid } = service.metadata
    for (const [key, server] of this.#listeners) {
      const [owner, place] = key.split(' ') as [string, string]
      if (owner !== uid || wanted.has(place)) continue
      server.close()
      this.#listeners.delete(key)
    }
    for (const [place, targets] of wanted) {
      const key = `${uid} ${place}`
      if (this.#listeners.has(key)) continue
      const [address, port] = place.split(':') as [string, string]
      this.#listeners.set(key, this.#listen(address, Number(port), targets))
    }
    if (isDeleted && clusterIP !== undefined && clusterIP !== 'None') await removeNodeAddress(clusterIP)
    else if (type === 'LoadBalancer' && service.status.loadBalancer?.ingress === undefined) {
      const { namespace, name } = service.metadata
      await this.#api
        .patch(`/api/v1/namespaces/${namespace}/services/${name}/status`, {
          status: { loadBalancer: { ingress: [{ ip: EXTERNAL_ADDRESS }] } },
        })
        .catch(() => {})
    }
  }

  close(): void {
    for (const server of this.#listeners.values()) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #listen(address: string, port: number, targets: () => Target[]): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#forward(socket, targets()),
    )
    // Another program on the node, such as the API server, may already listen at this address.
    server.on('error', (error) => console.error(`Service address ${address}:${port}: ${error.message}`))
    server.listen(port, address)
    return server
  }

  #forward(socket: Socket, targets: readonly Target[]): void {
    this.#keep(socket)
    const target = targets[this.#turn++ % targets.length]
    // If there are no endpoints, the connection is refused, as it would be by a REJECT rule.
    if (target === undefined) return void socket.resetAndDestroy()
    const upstream = connect({ host: target.address, port: target.port, noDelay: true, allowHalfOpen: true })
    this.#keep(upstream)
    socket.pipe(upstream)
    upstream.pipe(socket)
    socket.once('close', () => upstream.destroy())
    upstream.once('close', () => socket.destroy())
    upstream.once('error', () => socket.resetAndDestroy())
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #targets(service: KubeObject, portName: string | undefined): Target[] {
    const { namespace, name } = service.metadata
    const targets: Target[] = []
    for (const slice of this.#slices.values()) {
      if (slice.metadata.namespace !== namespace) continue
      if (slice.metadata.labels?.['kubernetes.io/service-name'] !== name) continue
      const port = (slice.ports ?? []).find(
        (candidate: KubeObject) => (candidate.name || undefined) === portName,
      )
      if (port === undefined) continue
      for (const { addresses, conditions } of slice.endpoints ?? []) {
        if (conditions?.ready !== false) targets.push({ address: addresses[0], port: port.port })
      }
    }
    return targets
  }
}
