// Network access to the broker: its Service, the routes for clients outside the cluster, and the NetworkPolicy.
import { metaOf, selectorLabels, type App, type KubernetesObject, type Place } from '../object.ts'
import type { Broker } from '../options.ts'
import { hasTlsListener, PORTS } from './config-text.ts'

const APP = 'mosquitto'

/** Returns the Service for pods in the cluster, including Traefik. */
export function brokerService(broker: Broker): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metaOf(APP, broker),
    spec: {
      type: 'ClusterIP',
      selector: selectorLabels(APP, broker),
      ports: [
        { name: 'mqtt', port: PORTS.mqtt, targetPort: 'mqtt', protocol: 'TCP' },
        {
          name: 'ws',
          port: PORTS.ws,
          targetPort: 'ws',
          protocol: 'TCP',
          appProtocol: 'kubernetes.io/ws',
        },
        ...(hasTlsListener(broker)
          ? [{ name: 'mqtts', port: PORTS.mqtts, targetPort: 'mqtts', protocol: 'TCP' }]
          : []),
      ],
    },
  }
}

/** Returns the objects through which clients outside the cluster reach the broker. */
export function brokerRoutes(broker: Broker): KubernetesObject[] {
  switch (broker.expose) {
    case 'traefik':
      return broker.tls === undefined ? [plainRoute(broker)] : [tlsRoute(broker), webRoute(broker)]
    case 'gateway':
      return [gateway(broker), tcpRoute(broker)]
    case 'loadbalancer':
    case 'nodeport':
      return [publicService(broker)]
    case 'none':
      return []
  }
}

function traefik(broker: Broker, kind: string, suffix: string, spec: object): KubernetesObject {
  const group = broker.traefikApi === 'v2' ? 'traefik.containo.us' : 'traefik.io'
  return { apiVersion: `${group}/v1alpha1`, kind, metadata: metaOf(APP, broker, suffix), spec }
}

// With nativeLB, Traefik connects to the Service's address, which refuses connections at once while there is no
// broker. Without nativeLB, Traefik could connect to the address of a recently removed pod, which does not
// respond. A reconnecting client would then wait until its connection timeout. Traefik before 2.10 does not have
// the field `nativeLB`.
function target(broker: Broker, port: number): Record<string, unknown> {
  return { name: broker.name, port, ...(broker.traefikApi === 'v3' ? { nativeLB: true } : {}) }
}

function plainRoute(broker: Broker): KubernetesObject {
  const services = [target(broker, PORTS.mqtt)]
  return traefik(broker, 'IngressRouteTCP', '', {
    entryPoints: ['mqtt'],
    // Without TLS, a connection contains no host name, so an unencrypted entry point can serve only one broker.
    routes: [{ match: 'HostSNI(`*`)', services }],
  })
}

function tlsRoute(broker: Broker): KubernetesObject {
  const { host, secretName } = broker.tls!
  const isPassedThrough = hasTlsListener(broker)
  const services = [target(broker, isPassedThrough ? PORTS.mqtts : PORTS.mqtt)]
  return traefik(broker, 'IngressRouteTCP', '-tls', {
    entryPoints: ['mqtts'],
    routes: [{ match: `HostSNI(\`${host}\`)`, services }],
    tls: isPassedThrough ? { passthrough: true } : { secretName },
  })
}

function webRoute(broker: Broker): KubernetesObject {
  const { host, secretName } = broker.tls!
  const services = [target(broker, PORTS.ws)]
  return traefik(broker, 'IngressRoute', '-ws', {
    entryPoints: ['websecure'],
    routes: [{ kind: 'Rule', match: `Host(\`${host}\`) && Path(\`/mqtt\`)`, services }],
    tls: { secretName },
  })
}

function gateway(broker: Broker): KubernetesObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: metaOf(APP, broker),
    spec: {
      gatewayClassName: broker.gatewayClass,
      listeners: [
        {
          name: 'mqtt',
          protocol: 'TCP',
          port: broker.externalPort,
          allowedRoutes: { kinds: [{ kind: 'TCPRoute' }], namespaces: { from: 'Same' } },
        },
      ],
    },
  }
}

function tcpRoute(broker: Broker): KubernetesObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1alpha2',
    kind: 'TCPRoute',
    metadata: metaOf(APP, broker),
    spec: {
      parentRefs: [{ name: broker.name, sectionName: 'mqtt' }],
      rules: [{ backendRefs: [{ name: broker.name, port: PORTS.mqtt }] }],
    },
  }
}

// Returns a second Service, for clients outside the cluster. The first one, for pods in the cluster, is therefore
// always of type ClusterIP.
function publicService(broker: Broker): KubernetesObject {
  const name = hasTlsListener(broker) ? 'mqtts' : 'mqtt'
  const isNodePort = broker.expose === 'nodeport'
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metaOf(APP, broker, '-public'),
    spec: {
      type: isNodePort ? 'NodePort' : 'LoadBalancer',
      selector: selectorLabels(APP, broker),
      // Preserves the client's address for the broker's log.
      externalTrafficPolicy: 'Local',
      ports: [
        {
          name,
          port: isNodePort ? PORTS[name] : broker.externalPort,
          targetPort: name,
          protocol: 'TCP',
          ...(isNodePort ? { nodePort: broker.externalPort } : {}),
        },
      ],
    },
  }
}

/**
 * Returns the NetworkPolicy, which restricts connections to the broker, and allows no connections from the broker.
 */
export function brokerNetworkPolicy(broker: Broker, connector: Place | undefined): KubernetesObject {
  const { expose } = broker
  const own = connector === undefined ? [] : [fromPods('inferwire', connector)]
  const peers = [...own, ...(expose === 'traefik' || expose === 'gateway' ? traefikPods() : [])]
  const passed = expose === 'traefik' && hasTlsListener(broker) ? [tcp(PORTS.mqtts)] : []
  const inside = { from: peers, ports: [tcp(PORTS.mqtt), tcp(PORTS.ws), ...passed] }
  const outside = { ports: [tcp(hasTlsListener(broker) ? PORTS.mqtts : PORTS.mqtt)] }
  const isPublic = expose === 'loadbalancer' || expose === 'nodeport'
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metaOf(APP, broker),
    spec: {
      podSelector: { matchLabels: selectorLabels(APP, broker) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [...(peers.length > 0 ? [inside] : []), ...(isPublic ? [outside] : [])],
      egress: [],
    },
  }
}

function fromPods(app: App, place: Place): Record<string, unknown> {
  return {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': place.namespace } },
    podSelector: { matchLabels: selectorLabels(app, place) },
  }
}

// Traefik may run in any namespace, such as traefik or kube-system (k3s). The labels are those in Traefik's chart
// and in the Deployment of Traefik's documentation.
function traefikPods(): Record<string, unknown>[] {
  return [{ 'app.kubernetes.io/name': 'traefik' }, { app: 'traefik' }].map((matchLabels) => ({
    namespaceSelector: {},
    podSelector: { matchLabels },
  }))
}

function tcp(port: number): Record<string, unknown> {
  return { protocol: 'TCP', port }
}
