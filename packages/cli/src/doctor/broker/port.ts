// Checks that the broker's port accepts TCP connections.
import { connect } from 'node:net'
import { fault, ok, type Check, type Finding } from '../check.ts'
import { placeOf, type ProbeTarget } from '../mqtt/probe-target.ts'
import { eachPlace } from './each-place.ts'

export const brokerPort: Check = {
  id: 'broker.port',
  title: "the broker's port accepts connections",
  needs: ['broker.address'],
  run: (context, signal) => eachPlace(context, ({ target }) => dial(target, signal)),
}

async function dial(target: ProbeTarget, signal: AbortSignal): Promise<Finding> {
  const { host, port } = placeOf(target)
  const code = await new Promise<string>((resolve) => {
    const socket = connect({ host, port })
    const end = (result: string): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => end(''))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    signal.addEventListener('abort', () => end('ETIMEDOUT'), { once: true })
  })
  if (code === '') return ok(`${host}:${port} accepts connections.`)
  return fault(`Port ${port} of ${host} does not accept connections (${code}).`, remedyOf(code))
}

function remedyOf(code: string): string {
  if (code === 'ECONNREFUSED') {
    return [
      'Start the broker, or correct the port.',
      'In Kubernetes: check the pod and its log (kubectl logs deploy/mosquitto -n mosquitto), that the Service has endpoints, and that the Service of Traefik has the port of the entry point. "Unable to open pwfile" in the log: set MOSQUITTO_UNSAFE_ALLOW_SYMLINKS=1, or mount the password file as a regular file that the user of the broker can read.',
    ].join('\n')
  }
  return [
    'Packets are dropped on the way: check firewalls, security groups and NetworkPolicies.',
    'In Kubernetes, the NetworkPolicy of the broker must accept the namespace of the client.',
  ].join('\n')
}
